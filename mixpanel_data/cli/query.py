"""`mp query`: questions that Mixpanel answers, and SQL over the local tables."""

from pathlib import Path
from typing import Annotated, Any

import typer

from mixpanel_data import choices
from mixpanel_data.cli.command import command, new_app
from mixpanel_data.cli.options import (
    Count,
    Event,
    Events,
    From,
    LongUnit,
    MaybeEvent,
    MaybeFrom,
    MaybeTo,
    Number,
    On,
    Property,
    ShortUnit,
    To,
    Unit,
    Where,
    Word,
    comma_list,
    maybe_list,
    one_of,
    text_of,
)
from mixpanel_data.cli.output import Format
from mixpanel_data.cli.session import Session
from mixpanel_data.errors import InvalidArgumentError

app = new_app()

# Bounds that keep a slip from filling the memory, and that no report reaches.
MOST_ROWS = 1_000_000
MOST_BYTES = 400_000_000

FunnelId = Annotated[int, typer.Argument(metavar="FUNNEL_ID", help="A saved funnel: mp inspect funnels.")]
BookmarkId = Annotated[int, typer.Argument(metavar="BOOKMARK_ID", help="A saved report: mp inspect bookmarks.")]


@command(app, "sql")
def sql(
    session: Session,
    *,
    query: Annotated[str | None, typer.Argument(help="One SELECT, in DuckDB's dialect.")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-F", help="Read it from here; - is stdin.")] = None,
    scalar: Annotated[bool, typer.Option("--scalar", "-s", help="Show the first cell only.")] = False,
    max_rows: Annotated[int, typer.Option("--max-rows", help="Show at most so many rows.")] = MOST_ROWS,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds that it may take.")] = 600.0,
) -> Any:
    """Ask the local tables by SQL.

    The query can read them, and reach nothing else."""
    text = _one_text("QUERY", query, "--file", file)
    result = session.workspace.select(text, max_rows=1 if scalar else max_rows, max_bytes=MOST_BYTES, timeout_s=timeout)
    if scalar:
        value = result.rows[0][0] if result.rows else None
        return value if session.output.form is Format.PLAIN and value is not None else {"value": value}
    if result.truncated:
        session.notice(f"only the first {len(result.rows)} rows are shown; there are more")
    return result if session.output.form in {Format.TABLE, Format.CSV} else result.to_dicts()


@command(app, "segmentation")
def segmentation(
    session: Session,
    *,
    event: Event,
    from_date: From,
    to_date: To,
    on: On = None,
    unit: Unit = "day",
    where: Where = None,
) -> Any:
    """An event over time, also by a property's values."""
    return session.workspace.segmentation(event, from_date=from_date, to_date=to_date, on=on, unit=unit, where=where)


@command(app, "funnel")
def funnel(
    session: Session,
    *,
    funnel_id: FunnelId,
    from_date: From,
    to_date: To,
    unit: Annotated[Word | None, one_of("--unit", "-u", values=choices.TIME_UNITS, say="Length of a bucket.")] = None,
    on: On = None,
) -> Any:
    """How many users took each step of a saved funnel."""
    return session.workspace.funnel(funnel_id, from_date=from_date, to_date=to_date, unit=unit, on=on)


@command(app, "retention")
def retention(
    session: Session,
    *,
    born: Annotated[str, typer.Option("--born", "-b", metavar="NAME", help="The event that users begin with.")],
    returned: Annotated[
        str, typer.Option("--return", "-r", metavar="NAME", help="The event that they come back with.")
    ],
    from_date: From,
    to_date: To,
    born_where: Annotated[str | None, typer.Option("--born-where", metavar="EXPRESSION", help="Of the first.")] = None,
    return_where: Annotated[
        str | None, typer.Option("--return-where", metavar="EXPRESSION", help="Of the second.")
    ] = None,
    interval: Annotated[int, typer.Option("--interval", "-i", help="Units in a bucket.")] = 1,
    intervals: Annotated[int, typer.Option("--intervals", "-n", help="How many buckets.")] = 10,
    unit: LongUnit = "day",
) -> Any:
    """How many users came back, by the day they began."""
    return session.workspace.retention(
        born_event=born,
        return_event=returned,
        from_date=from_date,
        to_date=to_date,
        born_where=born_where,
        return_where=return_where,
        interval=interval,
        interval_count=intervals,
        unit=unit,
    )


@command(app, "jql")
def jql(
    session: Session,
    *,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="The script's file; - is stdin.")] = None,
    script: Annotated[str | None, typer.Option("--script", "-c", help="The script itself.")] = None,
    param: Annotated[
        list[str] | None, typer.Option("--param", "-P", metavar="KEY=VALUE", help="A text in the script's `params`.")
    ] = None,
) -> Any:
    """Run a JQL script."""
    text, params = _one_text("--script", script, "FILE", file), _parameters(param or [])
    return session.workspace.jql(text, params)


@command(app, "event-counts")
def event_counts(
    session: Session, *, events: Events, from_date: From, to_date: To, kind: Count = "general", unit: Unit = "day"
) -> Any:
    """Several events over time."""
    names = comma_list("--events", events)
    return session.workspace.event_counts(names, from_date=from_date, to_date=to_date, type=kind, unit=unit)


@command(app, "property-counts")
def property_counts(
    session: Session,
    *,
    event: Event,
    name: Property,
    from_date: From,
    to_date: To,
    kind: Count = "general",
    unit: Unit = "day",
    values: Annotated[str | None, typer.Option("--values", metavar="A,B,…", help="Only these values.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-l", help="At most so many values.")] = 10,
) -> Any:
    """An event over time, for each value of a property."""
    wanted = maybe_list("--values", values)
    return session.workspace.property_counts(
        event, name, from_date=from_date, to_date=to_date, type=kind, unit=unit, values=wanted, limit=limit
    )


@command(app, "activity-feed")
def activity_feed(
    session: Session,
    *,
    users: Annotated[str, typer.Option("--users", "-U", metavar="A,B,…", help="The users' distinct ids.")],
    from_date: MaybeFrom = None,
    to_date: MaybeTo = None,
) -> Any:
    """What these users did."""
    distinct_ids = comma_list("--users", users)
    return session.workspace.activity_feed(distinct_ids, from_date=from_date, to_date=to_date)


@command(app, "saved-report")
def saved_report(session: Session, *, bookmark_id: BookmarkId) -> Any:
    """Compute a saved report: insights, funnel, retention."""
    return session.workspace.query_saved_report(bookmark_id)


@command(app, "flows")
def flows(session: Session, *, bookmark_id: BookmarkId) -> Any:
    """Compute a saved flows report."""
    return session.workspace.query_flows(bookmark_id)


@command(app, "frequency")
def frequency(
    session: Session,
    *,
    from_date: From,
    to_date: To,
    event: MaybeEvent = None,
    unit: LongUnit = "day",
    addiction_unit: Annotated[
        Word, one_of("--addiction-unit", values=choices.HOUR_DAY_UNITS, say="What is counted.")
    ] = "hour",
    where: Where = None,
) -> Any:
    """In how many hours or days users were active."""
    return session.workspace.frequency(
        from_date=from_date, to_date=to_date, unit=unit, addiction_unit=addiction_unit, event=event, where=where
    )


@command(app, "segmentation-numeric")
def segmentation_numeric(
    session: Session,
    *,
    event: Event,
    on: Number,
    from_date: From,
    to_date: To,
    kind: Count = "general",
    unit: ShortUnit = "day",
    where: Where = None,
) -> Any:
    """An event over time, by ranges of a number."""
    return session.workspace.segmentation_numeric(
        event, from_date=from_date, to_date=to_date, on=on, unit=unit, where=where, type=kind
    )


@command(app, "segmentation-sum")
def segmentation_sum(
    session: Session,
    *,
    event: Event,
    on: Number,
    from_date: From,
    to_date: To,
    unit: ShortUnit = "day",
    where: Where = None,
) -> Any:
    """The sum of a numeric property, over time."""
    return session.workspace.segmentation_sum(
        event, from_date=from_date, to_date=to_date, on=on, unit=unit, where=where
    )


@command(app, "segmentation-average")
def segmentation_average(
    session: Session,
    *,
    event: Event,
    on: Number,
    from_date: From,
    to_date: To,
    unit: ShortUnit = "day",
    where: Where = None,
) -> Any:
    """The average of a numeric property, over time."""
    return session.workspace.segmentation_average(
        event, from_date=from_date, to_date=to_date, on=on, unit=unit, where=where
    )


def _one_text(name: str, text: str | None, file_name: str, file: Path | None) -> str:
    if text is not None and file is None:
        return text
    if file is not None and text is None:
        return text_of(file_name, file)
    how = "both are given" if file is not None else "neither is given"
    raise InvalidArgumentError(f"{name} or {file_name}", how, fix="give one of them")


def _parameters(given: list[str]) -> dict[str, str] | None:
    pairs = [each.partition("=") for each in given]
    if wrong := [each for each, (key, sign, _) in zip(given, pairs, strict=True) if not (key and sign)]:
        raise InvalidArgumentError("--param", f"{wrong[0]!r} is not KEY=VALUE", fix="write --param country=DE")
    return {key: value for key, _, value in pairs} or None

"""`mp fetch`: copy events and profiles into local tables, or stream them to stdout."""

import json
from collections.abc import Callable
from typing import Annotated, Any

import typer

from mixpanel_data.cli.command import command, new_app
from mixpanel_data.cli.options import MaybeEvents, MaybeFrom, MaybeTo, Where, maybe_list
from mixpanel_data.cli.session import Session
from mixpanel_data.errors import InvalidArgumentError, TableExistsError

app = new_app()

Replace = Annotated[bool, typer.Option("--replace", help="In place of the table that is there.")]
Append = Annotated[bool, typer.Option("--append", help="Add to the table that is there.")]
NoProgress = Annotated[bool, typer.Option("--no-progress", help="Draw no progress.")]
Parallel = Annotated[bool, typer.Option("--parallel", "-p", help="Fetch in pieces, several at once.")]
Workers = Annotated[int | None, typer.Option("--workers", help="How many pieces at once.")]
Stdout = Annotated[bool, typer.Option("--stdout", help="Print JSON lines, and store nothing.")]
Raw = Annotated[bool, typer.Option("--raw", help="With --stdout: the API's own objects.")]
BatchSize = Annotated[int, typer.Option("--batch-size", help="Rows between two reports, 100 to 100000.")]


@command(app, "events")
def events(
    session: Session,
    *,
    name: Annotated[str, typer.Argument(help="The table.")] = "events",
    from_date: MaybeFrom = None,
    to_date: MaybeTo = None,
    names: MaybeEvents = None,
    where: Where = None,
    limit: Annotated[int | None, typer.Option("--limit", "-l", help="At most so many, 1 to 100000.")] = None,
    replace: Replace = False,
    append: Append = False,
    no_progress: NoProgress = False,
    parallel: Parallel = False,
    workers: Workers = None,
    chunk_days: Annotated[int, typer.Option("--chunk-days", help="Days in a piece of a parallel fetch.")] = 7,
    stdout: Stdout = False,
    raw: Raw = False,
    batch_size: BatchSize = 1000,
) -> Any:
    """Copy the events of some days into a table, or stream them."""
    if from_date is None or to_date is None:
        missing = "--from" if from_date is None else "--to"
        raise InvalidArgumentError(missing, "is missing", fix="give the first and the last day: --from DAY --to DAY")
    _check(replace=replace, append=append, stdout=stdout, raw=raw, parallel=parallel, limit=limit)
    wanted: dict[str, Any] = {
        "from_date": from_date,
        "to_date": to_date,
        "events": maybe_list("--events", names),
        "where": where,
        "limit": limit,
    }
    if stdout:
        return _streamed(session, "events", session.workspace.stream_events(**wanted, raw=raw))
    return _stored(
        session,
        name,
        replace=replace,
        fetch=lambda: session.writable.fetch_events(
            name,
            **wanted,
            progress=not (no_progress or session.options.quiet),
            append=append,
            batch_size=batch_size,
            parallel=parallel,
            max_workers=workers,
            chunk_days=chunk_days,
        ),
    )


@command(app, "profiles")
def profiles(
    session: Session,
    *,
    name: Annotated[str, typer.Argument(help="The table.")] = "profiles",
    where: Where = None,
    cohort: Annotated[str | None, typer.Option("--cohort", "-c", metavar="ID", help="Only members of it.")] = None,
    output_properties: Annotated[
        str | None, typer.Option("--output-properties", "-o", metavar="A,B,…", help="Only these properties.")
    ] = None,
    distinct_id: Annotated[str | None, typer.Option("--distinct-id", metavar="ID", help="Only this profile.")] = None,
    distinct_ids: Annotated[
        list[str] | None, typer.Option("--distinct-ids", metavar="ID", help="Only these; give it once for each.")
    ] = None,
    group_id: Annotated[
        str | None, typer.Option("--group-id", "-g", metavar="KEY", help="Groups of this kind in place of users.")
    ] = None,
    behaviors: Annotated[
        str | None,
        typer.Option("--behaviors", metavar="JSON", help="A list of {window, name, event_selectors}, for --where."),
    ] = None,
    as_of_timestamp: Annotated[
        int | None, typer.Option("--as-of-timestamp", metavar="SECONDS", help="As they were at this Unix time.")
    ] = None,
    include_all_users: Annotated[
        bool, typer.Option("--include-all-users", help="With --cohort: others too, marked.")
    ] = False,
    replace: Replace = False,
    append: Append = False,
    no_progress: NoProgress = False,
    parallel: Parallel = False,
    workers: Workers = None,
    stdout: Stdout = False,
    raw: Raw = False,
    batch_size: BatchSize = 1000,
) -> Any:
    """Copy profiles into a table, or stream them."""
    _check(replace=replace, append=append, stdout=stdout, raw=raw, parallel=parallel, limit=None)
    wanted: dict[str, Any] = {
        "where": where,
        "cohort_id": cohort,
        "output_properties": maybe_list("--output-properties", output_properties),
        "distinct_id": distinct_id,
        "distinct_ids": distinct_ids,
        "group_id": group_id,
        "behaviors": _behaviors(behaviors, where),
        "as_of_timestamp": as_of_timestamp,
        "include_all_users": include_all_users,
    }
    if stdout:
        return _streamed(session, "profiles", session.workspace.stream_profiles(**wanted, raw=raw))
    return _stored(
        session,
        name,
        replace=replace,
        fetch=lambda: session.writable.fetch_profiles(
            name,
            **wanted,
            progress=not (no_progress or session.options.quiet),
            append=append,
            batch_size=batch_size,
            parallel=parallel,
            max_workers=workers,
        ),
    )


def _check(*, replace: bool, append: bool, stdout: bool, raw: bool, parallel: bool, limit: int | None) -> None:
    if replace and append:
        raise InvalidArgumentError("--replace, --append", "exclude each other", fix="give one of them")
    if raw and not stdout:
        raise InvalidArgumentError("--raw", "is of --stdout: tables have columns of their own", fix="add --stdout")
    if stdout and (replace or append or parallel):
        wrong = "--replace" if replace else "--append" if append else "--parallel"
        raise InvalidArgumentError(wrong, "is of a table, and --stdout stores none", fix=f"leave {wrong} out")
    if parallel and limit is not None:
        raise InvalidArgumentError("--limit, --parallel", "exclude each other", fix="give one of them")


def _streamed(session: Session, what: str, rows: Any) -> None:
    count = session.output.stream(rows, lambda so_far: session.notice(f"{so_far} {what}"))
    session.notice(f"{count} {what} in all")


def _stored(session: Session, name: str, *, replace: bool, fetch: Callable[[], Any]) -> Any:
    if replace and any(table.name == name and table.gaps for table in session.workspace.tables()):
        # The same fetch would only fill its gaps.
        session.writable.drop(name)
    try:
        result = fetch()
    except TableExistsError:
        # Only here has everything else about the request been found right.
        if not replace:
            raise
        session.writable.drop(name)
        result = fetch()
    if getattr(result, "has_failures", False):
        session.exit_code = 1
        session.notice("parts of it failed; the result names them")
    return result


def _behaviors(text: str | None, where: str | None) -> list[dict[str, Any]] | None:
    if text is None:
        return None
    fix = 'write a JSON list: [{"window": "30d", "name": "bought", "event_selectors": [{"event": "Purchase"}]}]'
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError("--behaviors", f"is not JSON: {error}", fix=fix) from error
    if not isinstance(found, list) or not found or not all(isinstance(each, dict) for each in found):
        raise InvalidArgumentError("--behaviors", "is not a list of objects", fix=fix)
    for key in ("window", "name", "event_selectors"):
        if not all(key in each for each in found):
            raise InvalidArgumentError("--behaviors", f"one of them has no {key!r}", fix=fix)
    if where is None:
        raise InvalidArgumentError(
            "--behaviors", "are of use in --where only", fix=f"""add --where '(behaviors["{found[0]["name"]}"] > 0)'"""
        )
    return found

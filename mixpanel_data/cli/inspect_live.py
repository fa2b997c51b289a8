"""`mp inspect`, what Mixpanel tells: names, saved things, and how properties are spread."""

from typing import Annotated, Any

import typer

from mixpanel_data import choices
from mixpanel_data.cli.command import command, new_app
from mixpanel_data.cli.options import (
    Count,
    Event,
    From,
    MaybeEvent,
    MaybeEvents,
    Property,
    To,
    Word,
    comma_list,
    maybe_list,
    number_list,
    one_of,
)
from mixpanel_data.cli.session import Session

app = new_app()


@command(app, "events")
def events(session: Session) -> Any:
    """The names of the project's events."""
    return session.workspace.events()


@command(app, "properties")
def properties(session: Session, *, event: Event) -> Any:
    """The names of an event's properties."""
    return session.workspace.properties(event)


@command(app, "values")
def values(
    session: Session,
    *,
    name: Property,
    event: MaybeEvent = None,
    limit: Annotated[int, typer.Option("--limit", "-l", help="At most so many.")] = 100,
) -> Any:
    """Values of a property."""
    return session.workspace.property_values(name, event=event, limit=limit)


@command(app, "funnels")
def funnels(session: Session) -> Any:
    """The saved funnels."""
    return session.workspace.funnels()


@command(app, "cohorts")
def cohorts(session: Session) -> Any:
    """The saved cohorts."""
    return session.workspace.cohorts()


@command(app, "top-events")
def top_events(
    session: Session,
    *,
    kind: Count = "general",
    limit: Annotated[int, typer.Option("--limit", "-l", help="At most so many.")] = 10,
) -> Any:
    """Today's most frequent events, and how they changed."""
    return session.workspace.top_events(type=kind, limit=limit)


@command(app, "bookmarks")
def bookmarks(
    session: Session,
    *,
    kind: Annotated[Word | None, one_of("--type", "-t", values=choices.BOOKMARK_TYPES, say="Only these.")] = None,
) -> Any:
    """The saved reports."""
    return session.workspace.list_bookmarks(kind)


@command(app, "lexicon-schemas")
def lexicon_schemas(
    session: Session,
    *,
    kind: Annotated[Word | None, one_of("--type", "-t", values=choices.ENTITY_TYPES, say="Only these.")] = None,
) -> Any:
    """What the Lexicon says of events and profiles."""
    return session.workspace.lexicon_schemas(entity_type=kind)


@command(app, "lexicon-schema")
def lexicon_schema(
    session: Session,
    *,
    kind: Annotated[Word, one_of("--type", "-t", values=choices.ENTITY_TYPES, say="What it is.")],
    name: Annotated[str, typer.Option("--name", "-n", help="Its name.")],
) -> Any:
    """What the Lexicon says of one of them."""
    return session.workspace.lexicon_schema(kind, name)


@command(app, "distribution")
def distribution(
    session: Session,
    *,
    event: Event,
    name: Property,
    from_date: From,
    to_date: To,
    limit: Annotated[int, typer.Option("--limit", "-l", help="At most so many values.")] = 20,
) -> Any:
    """A property's most frequent values and shares (JQL)."""
    return session.workspace.property_distribution(event, name, from_date=from_date, to_date=to_date, limit=limit)


@command(app, "numeric")
def numeric(
    session: Session,
    *,
    event: Event,
    name: Property,
    from_date: From,
    to_date: To,
    percentiles: Annotated[str | None, typer.Option("--percentiles", metavar="25,50,…", help="Which ones.")] = None,
) -> Any:
    """Extremes, average, percentiles of a number (JQL)."""
    return session.workspace.numeric_summary(
        event, name, from_date=from_date, to_date=to_date, percentiles=number_list("--percentiles", percentiles)
    )


@command(app, "daily")
def daily(session: Session, *, from_date: From, to_date: To, names: MaybeEvents = None) -> Any:
    """How often each event happened, day by day (JQL)."""
    return session.workspace.daily_counts(from_date=from_date, to_date=to_date, events=maybe_list("--events", names))


@command(app, "engagement")
def engagement(
    session: Session,
    *,
    from_date: From,
    to_date: To,
    names: MaybeEvents = None,
    buckets: Annotated[str | None, typer.Option("--buckets", metavar="1,2,5,…", help="Where each begins.")] = None,
) -> Any:
    """How many users had how many events (JQL)."""
    return session.workspace.engagement_distribution(
        from_date=from_date,
        to_date=to_date,
        events=maybe_list("--events", names),
        buckets=number_list("--buckets", buckets),
    )


@command(app, "coverage")
def coverage(
    session: Session,
    *,
    event: Event,
    names: Annotated[str, typer.Option("--properties", "-p", metavar="A,B,…", help="The properties' names.")],
    from_date: From,
    to_date: To,
) -> Any:
    """How many of the events have each property (JQL)."""
    return session.workspace.property_coverage(
        event, comma_list("--properties", names), from_date=from_date, to_date=to_date
    )

"""`mp inspect`, what the local tables tell, and how they are let go of."""

from typing import Annotated, Any

import typer

from mixpanel_data.cli import terminal
from mixpanel_data.cli.command import command, new_app
from mixpanel_data.cli.options import Force, MaybeEvent, Table, Word, one_of
from mixpanel_data.cli.session import Session

app = new_app()


@command(app, "info")
def info(session: Session) -> Any:
    """Which project, account and database file this is."""
    return session.workspace.info()


@command(app, "tables")
def tables(session: Session) -> Any:
    """The fetched tables."""
    return session.workspace.tables()


@command(app, "schema")
def schema(session: Session, *, table: Table) -> Any:
    """The columns of a table."""
    return session.workspace.table_schema(table)


@command(app, "drop")
def drop(session: Session, *, table: Table, force: Force = False) -> dict[str, str]:
    """Drop a table."""
    session.workspace.table_schema(table)
    if not force:
        terminal.confirm(f"Table {table!r} will be gone.", force=f"mp inspect drop -t {table} --force")
    session.writable.drop(table)
    return {"dropped": table}


@command(app, "drop-all")
def drop_all(
    session: Session,
    *,
    kind: Annotated[
        Word | None, one_of("--type", "-t", values=("events", "profiles"), say="Only tables of this kind.")
    ] = None,
    force: Force = False,
) -> dict[str, list[str]]:
    """Drop all tables, or all of one kind."""
    doomed = [table.name for table in session.workspace.tables() if kind in {None, table.type}]
    if doomed and not force:
        terminal.confirm(f"These tables will be gone: {', '.join(doomed)}.", force="mp inspect drop-all --force")
    session.writable.drop_all(type=kind)
    return {"dropped": doomed}


@command(app, "sample")
def sample(
    session: Session, *, table: Table, rows: Annotated[int, typer.Option("--rows", "-n", help="How many rows.")] = 10
) -> Any:
    """Rows of a table, chosen at random."""
    frame = session.workspace.sample(table, n=rows)
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


@command(app, "summarize")
def summarize(session: Session, *, table: Table) -> Any:
    """What each column of a table holds."""
    return session.workspace.summarize(table)


@command(app, "breakdown")
def breakdown(session: Session, *, table: Table) -> Any:
    """How often each event is in a table."""
    return session.workspace.event_breakdown(table)


@command(app, "keys")
def keys(session: Session, *, table: Table, event: MaybeEvent = None) -> Any:
    """The names of the properties in a table."""
    return session.workspace.property_keys(table, event)


@command(app, "column")
def column(
    session: Session,
    *,
    table: Table,
    name: Annotated[str, typer.Option("--column", "-c", help="A column, or an expression such as a JSON path.")],
    top: Annotated[int, typer.Option("--top", help="How many of the most frequent values.")] = 10,
) -> Any:
    """What one column, or a property, of a table holds."""
    return session.workspace.column_stats(table, name, top_n=top)

"""Results as rows and columns, and the three forms that show them so: table, csv, plain."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mixpanel_data.cli import terminal

# By these an item is called, in this order.
NAMES = ("name", "value", "event", "id")
# Beyond that, a cell of a table is cut; the other forms have all of it.
LONGEST_CELL = 200
# Columns that no row reaches.
UNBOUND = 10_000_000


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows of JSON-ready values under named columns; a row may be shorter in meaning, never in length."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


def grid(items: Sequence[Any], columns: Sequence[str] | None = None) -> Grid:
    """Items as rows: the columns of objects are all their keys as they first appear, others stand below `value`.

    Args:
        items: JSON-ready values
        columns: where known, so that nothing at all has them too
    """
    if columns is None:
        objects = [item for item in items if isinstance(item, Mapping)]
        if len(objects) < len(items) or not items:
            return Grid(("value",), tuple((item,) for item in items))
        columns = list(dict.fromkeys(key for item in objects for key in item))
    return Grid(tuple(columns), tuple(tuple(item.get(column) for column in columns) for item in items))


def as_csv(shown: Grid, *, safe: bool) -> str:
    """A header and a line a row: booleans in lower case, nested values as JSON, nothing for null.

    A field that begins like a formula stays as it is: it is data, and a spreadsheet's own import decides about it.

    Args:
        safe: write control characters out, for a terminal
    """
    lines = _Lines()
    writer = csv.writer(lines, lineterminator="\r\n")
    for row in (shown.columns, *shown.rows):
        cells = ["" if cell is None else as_text(cell) for cell in row]
        writer.writerow([terminal.visible(cell) for cell in cells] if safe else cells)
    return "".join(lines)


class _Lines(list[str]):
    """Takes the lines of a csv and ends each by a newline alone.

    (The writer is told to end them by both characters, for it quotes just those that end its lines.)
    """

    def write(self, line: str) -> None:
        self.append(line.removesuffix("\r\n") + "\n")


def as_plain(value: Any, *, safe: bool) -> str:
    """The name of each item on a line of its own; of a single object, `key=value` lines."""
    if isinstance(value, Mapping):
        lines = [f"{key}={as_text(inner)}" for key, inner in value.items()]
    elif isinstance(value, list):
        lines = [as_text(_name(item)) for item in value]
    else:
        lines = [as_text(value)]
    return "".join(f"{terminal.visible(line) if safe else line}\n" for line in lines)


def as_table(shown: Grid, *, width: int | None) -> str:
    """A table for a person: upper-cased heads, numbers to the right, long values cut.

    Args:
        width: of the terminal; None lets every row be as long as it is
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not shown.rows:
        return "nothing to show\n"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for place, column in enumerate(shown.columns):
        numeric = all(isinstance(row[place], int | float) for row in shown.rows)
        head = terminal.visible(column.replace("_", " ").upper())
        table.add_column(Text(head), justify="right" if numeric else "left", overflow="fold")
    for row in shown.rows:
        # Text, not str: rich would read [brackets] in data as its own markup.
        table.add_row(*(Text(_cut(terminal.visible(as_text(cell)))) for cell in row))
    page = io.StringIO()
    Console(file=page, width=width or UNBOUND, color_system=None, highlight=False, emoji=False).print(table)
    return "".join(f"{line.rstrip()}\n" for line in page.getvalue().splitlines())


def as_object(value: Mapping[str, Any]) -> Grid:
    """A single object, a line a key."""
    return Grid(("key", "value"), tuple(value.items()))


def as_text(value: Any) -> str:
    """A JSON-ready value as a person writes it."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…"


def _name(item: Any) -> Any:
    if not isinstance(item, Mapping):
        return item
    known = next((item[key] for key in NAMES if key in item), None)
    return known if known is not None else next(iter(item.values()), None)

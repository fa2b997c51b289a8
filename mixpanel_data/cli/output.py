"""How commands show what they found: data to stdout, everything else to stderr."""

from __future__ import annotations

import errno
import json
import math
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from mixpanel_data.cli import terminal
from mixpanel_data.errors import InvalidArgumentError
from mixpanel_data.results import Result

# Legal in JSON as they are, but not on a terminal; an escape means the same.
_TO_ESCAPE = re.compile("[\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
NOTICE_EVERY = 1000


class Format(StrEnum):
    """The forms in which a result can be shown."""

    JSON = "json"
    JSONL = "jsonl"
    TABLE = "table"
    CSV = "csv"
    PLAIN = "plain"


class ReaderGoneError(Exception):
    """Whoever read our stdout has had enough."""


@dataclass(frozen=True, slots=True)
class Output:
    """How one command shows its result.

    form: one of the five
    filters: a compiled jq filter, None shows all
    """

    form: Format = Format.JSON
    filters: Callable[[Any], list[Any]] | None = None

    @classmethod
    def of(cls, form: Format, jq_filter: str | None) -> Output:
        """Check both before anything is asked for, so that a slip in a filter costs no query.

        Raises:
            InvalidArgumentError: the filter does not compile, or the form is not JSON.
        """
        if jq_filter is None:
            return cls(form)
        if form not in {Format.JSON, Format.JSONL}:
            raise InvalidArgumentError(
                "--jq", f"cannot filter --format {form}", fix="take --format json or jsonl, or leave --jq out"
            )
        return cls(form, _compiled(jq_filter))

    def show(self, value: Any) -> None:
        """Print a result of the library, or a JSON-ready value."""
        if self.form in {Format.TABLE, Format.CSV}:
            self._show_grid(value)
        elif self.form is Format.PLAIN:
            from mixpanel_data.cli.grid import as_plain

            write(as_plain(ready(value), safe=terminal.is_terminal()))
        else:
            self._show_json(ready(value))

    def stream(self, rows: Iterable[Mapping[str, Any]], tell: Callable[[int], None]) -> int:
        """Print rows as they come, a JSON line each, and return how many there were.

        Args:
            tell: told their number after every thousand
        """
        if self.form not in {Format.JSON, Format.JSONL}:
            raise InvalidArgumentError(
                "--stdout", f"streams JSON lines, not {self.form}", fix="leave --format out, or take jsonl"
            )
        count = 0
        for count, row in enumerate(rows, 1):
            item = ready(row)
            for shown in [item] if self.filters is None else self.filters(item):
                write(as_json(shown) + "\n")
            if count % NOTICE_EVERY == 0:
                flush()
                tell(count)
        flush()
        return count

    def _show_json(self, value: Any) -> None:
        if self.filters is not None:
            found = self.filters(value)
            # One result stands for itself; several, or none, are a list.
            value = found[0] if self.form is Format.JSON and len(found) == 1 else found
        if self.form is Format.JSON:
            write(as_json(value, indent=2) + "\n")
        else:
            write("".join(as_json(item) + "\n" for item in (value if isinstance(value, list) else [value])))

    def _show_grid(self, value: Any) -> None:
        from mixpanel_data.cli import grid

        rows, columns = _records(value)
        if isinstance(rows, Mapping):
            shown = grid.grid([rows]) if self.form is Format.CSV else grid.as_object(rows)
        else:
            shown = grid.grid(rows if isinstance(rows, list) else [rows], columns)
        if self.form is Format.CSV:
            write(grid.as_csv(shown, safe=terminal.is_terminal()))
        else:
            write(grid.as_table(shown, width=shutil.get_terminal_size().columns if terminal.is_terminal() else None))


def ready(value: Any) -> Any:
    """The value as JSON holds it: results by their keys, times as ISO text, NaN and the infinities as null."""
    if isinstance(value, Mapping):
        return {str(key): ready(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [ready(inner) for inner in value]
    if isinstance(value, Result):
        return ready(value.to_dict())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value if value is None or isinstance(value, str | int) else str(value)


def as_json(value: Any, *, indent: int | None = None) -> str:
    """JSON text with characters as they are, but for those that a terminal would obey."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
    return _TO_ESCAPE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def write(text: str) -> None:
    """Put data on stdout, as UTF-8.

    Raises:
        ReaderGoneError: nobody reads it any more.
    """
    if sys.stdout is None:
        raise OSError(errno.EBADF, "stdout is closed")
    try:
        sys.stdout.write(text)
    except BrokenPipeError as error:
        raise ReaderGoneError from error


def flush() -> None:
    """Let everything go out that was written.

    Raises:
        ReaderGoneError: nobody reads it any more.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError as error:
        raise ReaderGoneError from error


def notice(text: str) -> None:
    """Print a line about what goes on, on stderr."""
    if sys.stderr is not None:
        sys.stderr.write(terminal.visible(text, keep="\n") + "\n")
        sys.stderr.flush()


def complain(cause: str, fix: str | None, envelope: Mapping[str, Any] | None = None) -> None:
    """Print what went wrong, and what helps, on stderr.

    Args:
        envelope: code, message and details of the error, for who wants to know all of it
    """
    notice(f"error: {cause}" + (f"\n  fix: {fix}" if fix else ""))
    if envelope is not None:
        notice(as_json(ready(envelope), indent=2))


def _records(value: Any) -> tuple[Any, list[str] | None]:
    """What is shown as rows: a frame's records, the one list of results that a result holds, or the value itself."""
    if hasattr(value, "to_table_dict"):
        found = ready(value.to_table_dict())
        return found, None if found else _columns(value)
    if isinstance(value, Result) and is_dataclass(value):
        lists = [getattr(value, each.name) for each in fields(value)]
        inner = [each for each in lists if isinstance(each, list | tuple) and any(isinstance(i, Result) for i in each)]
        if len(inner) == 1:
            return ready(inner[0]), None
    return ready(value), None


def _columns(value: Any) -> list[str] | None:
    columns, _ = value._records()
    return list(columns) or None


def _compiled(jq_filter: str) -> Callable[[Any], list[Any]]:
    import jq  # type: ignore[import-not-found]  # it has no stubs

    try:
        program = jq.compile(jq_filter)
    except ValueError as error:
        raise _jq_error(error, "does not compile") from error

    def run(value: Any) -> list[Any]:
        # jq refuses unpaired surrogates.
        text = _SURROGATE.sub("\ufffd", json.dumps(value, ensure_ascii=False, allow_nan=False))
        try:
            return list(program.input_text(text))
        except ValueError as error:
            raise _jq_error(error, "fails on this result") from error

    return run


def _jq_error(error: ValueError, what: str) -> InvalidArgumentError:
    text = " ".join(str(error).split())
    return InvalidArgumentError("--jq", f"the filter {what}: {text}", fix="correct the filter (jq's language)")

"""The options that many commands have, each declared once, and how their texts are read."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mixpanel_data import choices
from mixpanel_data.errors import InvalidArgumentError, MixpanelDataError

# A word out of a few. It comes as any text, and the library refuses what it does not know (exit 3).
if TYPE_CHECKING:
    Word = Any
else:
    Word = str


def one_of(*flags: str, values: tuple[str, ...], say: str) -> Any:
    """An option for one of several words, which are shown and completed."""

    def completed(incomplete: str) -> list[str]:
        return [value for value in values if value.startswith(incomplete)]

    return typer.Option(*flags, metavar="|".join(values), help=say, autocompletion=completed)


From = Annotated[str, typer.Option("--from", metavar="DAY", help="First day, YYYY-MM-DD.")]
To = Annotated[str, typer.Option("--to", metavar="DAY", help="Last day, YYYY-MM-DD, included.")]
MaybeFrom = Annotated[str | None, typer.Option("--from", metavar="DAY", help="First day, YYYY-MM-DD.")]
MaybeTo = Annotated[str | None, typer.Option("--to", metavar="DAY", help="Last day, YYYY-MM-DD, included.")]
Event = Annotated[str, typer.Option("--event", "-e", metavar="NAME", help="The event's name.")]
MaybeEvent = Annotated[str | None, typer.Option("--event", "-e", metavar="NAME", help="Only this event.")]
Events = Annotated[str, typer.Option("--events", "-e", metavar="A,B,…", help="The events' names.")]
MaybeEvents = Annotated[str | None, typer.Option("--events", "-e", metavar="A,B,…", help="Only these events.")]
Property = Annotated[str, typer.Option("--property", "-p", metavar="NAME", help="The property's name.")]
Where = Annotated[
    str | None, typer.Option("--where", "-w", metavar="EXPRESSION", help="An expression that must be fulfilled.")
]
On = Annotated[
    str | None, typer.Option("--on", "-o", metavar="PROPERTY", help="A property's name, or an expression, to split by.")
]
Number = Annotated[str, typer.Option("--on", "-o", metavar="PROPERTY", help="A numeric property, or an expression.")]
Unit = Annotated[Word, one_of("--unit", "-u", values=choices.BUCKET_UNITS, say="Length of a bucket of time.")]
LongUnit = Annotated[Word, one_of("--unit", "-u", values=choices.TIME_UNITS, say="Length of a bucket of time.")]
ShortUnit = Annotated[Word, one_of("--unit", "-u", values=choices.HOUR_DAY_UNITS, say="Length of a bucket of time.")]
Count = Annotated[
    Word, one_of("--type", "-t", values=choices.COUNT_TYPES, say="Count events, users, or events per user.")
]
Table = Annotated[str, typer.Option("--table", "-t", metavar="NAME", help="The table's name.")]
Force = Annotated[bool, typer.Option("--force", help="Do not ask.")]


def comma_list(option: str, text: str) -> list[str]:
    """The values of `a,b,c`, without the blanks around them; one that holds a comma stands in double quotes.

    Raises:
        InvalidArgumentError: there is no value, or one of them is empty.
    """
    values = [value.strip() for row in csv.reader([text], skipinitialspace=True) for value in row]
    if not values or not all(values):
        raise InvalidArgumentError(
            option, f"{text!r} is not a list of values", fix=f"write {option} a,b,c; a value with a comma in quotes"
        )
    return values


def maybe_list(option: str, text: str | None) -> list[str] | None:
    """As `comma_list`, of an option that may be left out."""
    return None if text is None else comma_list(option, text)


def number_list(option: str, text: str | None) -> list[int] | None:
    """As `maybe_list`, of whole numbers."""
    try:
        return None if text is None else [int(value) for value in comma_list(option, text)]
    except ValueError as error:
        if isinstance(error, InvalidArgumentError):
            raise
        raise InvalidArgumentError(option, f"{text!r} holds what is no number", fix=f"write {option} 1,2,5") from error


class InputFileNotFoundError(MixpanelDataError, FileNotFoundError):
    """A file that was named on the command line is not there."""

    default_code = "INPUT_FILE_NOT_FOUND"


def text_of(option: str, path: Path) -> str:
    """The text of a file that was named on the command line; `-` is stdin.

    Raises:
        InputFileNotFoundError: there is none.
        InvalidArgumentError: it cannot be read as text.
    """
    if str(path) == "-":
        return typer.get_text_stream("stdin").read()
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputFileNotFoundError(
            f"there is no file {str(path)!r}", fix=f"check the path given as {option}"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        why = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise InvalidArgumentError(
            option, f"{str(path)!r} cannot be read: {why}", fix="give a readable file"
        ) from error

"""Checks of what callers pass in, before anything is sent or opened."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING

from mixpanel_data.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def day(argument: str, text: object) -> date:
    """The calendar day that a YYYY-MM-DD text names."""
    if isinstance(text, str) and _DAY.fullmatch(text):
        try:
            return date.fromisoformat(text)
        except ValueError:
            pass  # looks like a day, but there is none of that number
    raise InvalidArgumentError(argument, f"{text!r} is not a day", fix="write it as YYYY-MM-DD, for example 2025-06-30")


def day_range(from_date: object, to_date: object) -> tuple[date, date]:
    """Both days, the first not after the second."""
    first, last = day("from_date", from_date), day("to_date", to_date)
    if first > last:
        raise InvalidArgumentError("from_date", f"{first} is after to_date {last}", fix="swap them")
    return first, last


def one_of(argument: str, value: str, allowed: Sequence[str]) -> str:
    """The value, if it is among those allowed."""
    if value not in allowed:
        raise InvalidArgumentError(argument, f"{value!r} is not known", fix=f"take one of: {', '.join(allowed)}")
    return value


def name(argument: str, value: object) -> str:
    """The value, if it is a text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise InvalidArgumentError(argument, f"{value!r} is not a name", fix="give a text that is not empty")
    return value


def names(argument: str, values: Iterable[str]) -> list[str]:
    """The values as a list without repetitions, if they are names and at least one."""
    if isinstance(values, str):
        raise InvalidArgumentError(argument, f"{values!r} is one text, not a list", fix=f"write [{values!r}]")
    found = list(dict.fromkeys(name(argument, value) for value in values))
    if not found:
        raise InvalidArgumentError(argument, "the list is empty", fix="name at least one")
    return found


def texts(argument: str, values: Iterable[object]) -> list[str]:
    """The values as a list without repetitions, if they are texts, which may be empty, and at least one."""
    if isinstance(values, str):
        raise InvalidArgumentError(argument, f"{values!r} is one text, not a list", fix=f"write [{values!r}]")
    found: list[str] = []
    for value in values:
        if not isinstance(value, str):
            raise InvalidArgumentError(argument, f"{value!r} is not a text", fix=f"write {str(value)!r}")
        found.append(value)
    if not found:
        raise InvalidArgumentError(argument, "the list is empty", fix="give at least one")
    return list(dict.fromkeys(found))


def whole(argument: str, value: object, least: int, most: int | None = None) -> int:
    """The value, if it is a whole number in the range, both ends included."""
    if isinstance(value, int) and not isinstance(value, bool) and least <= value and (most is None or value <= most):
        return value
    bounds = f"from {least} to {most}" if most is not None else f"of at least {least}"
    raise InvalidArgumentError(argument, f"{value!r} is not a whole number {bounds}", fix=f"give one {bounds}")

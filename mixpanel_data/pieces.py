"""How a range of days is cut into pieces that are fetched by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from mixpanel_data import arguments

Days = tuple[date, date]

LONGEST_CHUNK_DAYS = 100
# What a piece costs again when it breaks off, and holds on disk while it waits to be stored.
EVENTS_A_PIECE = 2_000_000
_DAY = timedelta(days=1)


def split_date_range(from_date: str, to_date: str, chunk_days: int = 7) -> list[tuple[str, str]]:
    """Consecutive pieces of a range, each of `chunk_days` days but the last, which has what is left.

    Args:
        from_date, to_date: YYYY-MM-DD, both included
        chunk_days: 1 to 100

    Returns:
        Pairs of first and last day, as YYYY-MM-DD.

    Raises:
        InvalidArgumentError: a ValueError: an argument is wrong.
    """
    first, last = arguments.day_range(from_date, to_date)
    arguments.whole("chunk_days", chunk_days, 1, LONGEST_CHUNK_DAYS)
    return [(one.isoformat(), other.isoformat()) for one, other in cut(first, last, chunk_days)]


def cut(first: date, last: date, chunk_days: int) -> list[Days]:
    """The same, in days."""
    pieces = []
    while first <= last:
        end = min(first + timedelta(days=chunk_days - 1), last) if (last - first).days >= chunk_days else last
        pieces.append((first, end))
        if end == last:
            break
        first = end + _DAY
    return pieces


def sized(first: date, last: date, chunk_days: int, events_a_day: Mapping[date, int]) -> list[Days]:
    """Pieces of at most `chunk_days` days; where there are many events, of fewer days.

    Args:
        events_a_day: about how many there are; none of a day that is not named
    """
    found: list[Days] = []
    for begin, end in cut(first, last, chunk_days):
        start, events = begin, 0
        for number in range((end - begin).days + 1):
            day = begin + timedelta(days=number)
            count = events_a_day.get(day, 0)
            if day > start and events + count > EVENTS_A_PIECE:
                found.append((start, day - _DAY))
                start, events = day, 0
            events += count
        found.append((start, end))
    return found


def joined(pieces: list[Days]) -> list[Days]:
    """The same days in as few pieces as there can be."""
    found: list[Days] = []
    for first, last in sorted(pieces):
        if found and (first - found[-1][1]).days <= 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return found

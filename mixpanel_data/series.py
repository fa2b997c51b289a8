"""Counts over time: the envelope that several of Mixpanel's answers share, and the days of a range."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from mixpanel_data.answers import Answer

Series = dict[str, dict[str, int | float]]


def dense(answer: Answer, buckets: Iterable[str], keys: Iterable[str] = ()) -> Series:
    """The envelope's values, dense and in order: some endpoints leave zeros out, and `series` comes unsorted.

    Args:
        buckets: those that are there whether or not anything happened in them; days are known beforehand, where a
            week begins is the project's setting
        keys: the same for the names of the series

    Source: reference/mixpanel-api.md, section 5.4
    """
    data = answer.at("data")
    values = {key: cells.numbers() for key, cells in data.at("values").members()}
    named = data.at("series").texts()
    ordered = sorted({*buckets, *named, *(bucket for counts in values.values() for bucket in counts)})
    return {
        key: {bucket: values.get(key, {}).get(bucket, 0) for bucket in ordered}
        for key in dict.fromkeys([*keys, *values])
    }


def days(first: date, last: date, unit: str) -> list[str]:
    """The buckets that are known before the answer: every day of the range if the unit is day, else none."""
    if unit != "day":
        return []
    return [(first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)]


def cells(series: Series) -> list[tuple[Any, ...]]:
    """(bucket, key, count), series by series."""
    return [(bucket, key, count) for key, counts in series.items() for bucket, count in counts.items()]

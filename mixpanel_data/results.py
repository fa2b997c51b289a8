"""What every result class has in common: JSON-ready values and, on request, a pandas frame."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import fields
from datetime import date, datetime
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd


# Of a field that is for Python alone.
NOT_JSON: Mapping[str, bool] = MappingProxyType({"not_json": True})


class Result:
    """Base of the frozen dataclasses that calls return."""

    def to_dict(self) -> dict[str, Any]:
        """The fields, JSON-ready: dates as ISO text, tuples as lists; without those that JSON cannot hold."""
        return {
            field.name: _json(getattr(self, field.name))
            for field in fields(self)  # type: ignore[arg-type]  # subclasses are dataclasses
            if not field.metadata.get("not_json")
        }


class FramedResult(Result, ABC):
    """A result that is also a table."""

    @abstractmethod
    def _records(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        """The names of the columns, and the rows."""

    @cached_property
    def df(self) -> pd.DataFrame:
        """The rows as a frame, made on first use; an empty result keeps its columns."""
        import pandas as pd

        columns, rows = self._records()
        return pd.DataFrame(rows, columns=columns)

    def to_table_dict(self) -> list[dict[str, Any]]:
        """The frame's records, without making a frame."""
        columns, rows = self._records()
        return [dict(zip(columns, row, strict=True)) for row in rows]


def table_of(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Objects as a table: a column for each key in the order of first sight, None where an object lacks it."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return columns, [tuple(row.get(column) for column in columns) for row in rows]


def _json(value: Any) -> Any:
    if isinstance(value, Result):
        return value.to_dict()
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, dict):
        return {key: _json(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_json(inner) for inner in value]
    return value

"""Scripts that Mixpanel runs over raw events and profiles."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mixpanel_data import arguments
from mixpanel_data.answers import Answer
from mixpanel_data.endpoints import ENDPOINTS
from mixpanel_data.errors import InvalidArgumentError
from mixpanel_data.results import FramedResult, table_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mixpanel_data.api_client import MixpanelAPIClient


@dataclass(frozen=True)
class JQLResult(FramedResult):
    """The elements of a script's final collection.

    raw: as they came
    """

    raw: list[Any]

    @property
    def row_count(self) -> int:
        return len(self.raw)

    def to_dict(self) -> dict[str, Any]:
        """raw and row_count."""
        return {**super().to_dict(), "row_count": self.row_count}

    def _records(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        """The rows of `groupBy` spread out, objects as they are, anything else under `value`.

        Raises:
            InvalidArgumentError: a ValueError: some groups have a list as their value and others have not.
        """
        if self.raw and all(map(_is_group, self.raw)):
            return _groups(self.raw)
        if self.raw and all(isinstance(row, dict) for row in self.raw):
            return table_of(self.raw)
        return ["value"], [(row,) for row in self.raw]


def jql(client: MixpanelAPIClient, script: str, params: Mapping[str, Any] | None = None) -> JQLResult:
    """Source: reference/mixpanel-api.md, section 10"""
    arguments.name("script", script)
    asked = {"script": script, "params": None if params is None else _checked(params)}
    answer = Answer("jql", client.call(ENDPOINTS["jql"], asked))
    answer.free()
    return JQLResult([element.value for element in answer.elements()])


def _checked(params: Mapping[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(dict(params), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgumentError(
            "params", f"it is no JSON object ({error})", fix="give texts, numbers, booleans, None, lists and dicts"
        ) from error
    return dict(params)


def _is_group(row: Any) -> bool:
    return isinstance(row, dict) and row.keys() == {"key", "value"} and isinstance(row["key"], list)


def _groups(rows: list[dict[str, Any]]) -> tuple[list[str], list[tuple[Any, ...]]]:
    # A list that is a key's part lengthens the key, so keys may be of several lengths.
    keys = max(len(row["key"]) for row in rows)
    lists = [isinstance(row["value"], list) for row in rows]
    if any(lists) and not all(lists):
        raise InvalidArgumentError(
            "df", "some values are lists and some are not, which is no table", fix="take .raw, or one kind of reducer"
        )
    spread = [row["value"] if lists[0] else [row["value"]] for row in rows]
    values = max(map(len, spread))
    names = [f"value_{number}" for number in range(values)] if lists[0] else ["value"]
    return [*(f"key_{number}" for number in range(keys)), *names], [
        (*_padded(row["key"], keys), *_padded(value, values)) for row, value in zip(rows, spread, strict=True)
    ]


def _padded(cells: list[Any], length: int) -> list[Any]:
    return [*cells, *[None] * (length - len(cells))]

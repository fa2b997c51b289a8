"""Answers that are not larger than a client can take; what is left out is kept and can be read piece by piece."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, NotRequired, TypeVar

from typing_extensions import TypedDict

from mp_mcp_server.results import ANSWER_BYTES, KEPT_BYTES, KEPT_ROWS, encoded, fitting

if TYPE_CHECKING:
    from mp_mcp_server.call import Call

Row = TypeVar("Row")

# As much of one value as helps to recognise it.
_LONGEST_TEXT = 500


class Listing(TypedDict, Generic[Row]):
    """truncated: note says how to get the rest."""

    result: list[Row]
    truncated: bool
    note: NotRequired[str]
    full_result: NotRequired[str]


class Cut(TypedDict):
    """Its keys are there when something is left out; full_result is a resource."""

    truncated: NotRequired[bool]
    note: NotRequired[str]
    full_result: NotRequired[str]


def listing(
    call: "Call",
    tool: str,
    rows: Iterable[Row],
    *,
    advice: str,
    limit: int | None = None,
    complete: bool = True,
) -> Listing[Row]:
    """The first rows: at most `limit`, and as many as an answer may hold; if there are more, all are kept.

    Args:
        rows: JSON-ready; no more of them are taken than can be kept
        advice: how to ask for less
        complete: whether these are all rows that there are
    """
    taken, more = _taken(rows)
    complete = complete and not more
    number = fitting([encoded(row) for row in taken[:limit]], ANSWER_BYTES)
    if number == len(taken) and complete:
        return {"result": taken, "truncated": False}
    uri = call.results.keep(tool, taken, complete=complete)
    there = f"{len(taken)}" if complete else f"more than {len(taken)}"
    return {
        "result": taken[:number],
        "truncated": True,
        "note": f"Truncated: these are the first {number} rows of {there}. {advice}; or read {uri}.",
        "full_result": uri,
    }


def _taken(rows: Iterable[Row]) -> tuple[list[Row], bool]:
    """As many rows as can be kept, and whether there are more."""
    taken: list[Row] = []
    size = 0
    source: Iterator[Row] = iter(rows)
    for row in islice(source, KEPT_ROWS):
        size += len(encoded(row))
        if size > KEPT_BYTES and taken:
            return taken, True
        taken.append(row)
    return taken, next(source, None) is not None


def shortened(
    call: "Call", tool: str, answer: dict[str, Any], part: str, records: Iterable[Any], *, advice: str
) -> dict[str, Any]:
    """The answer, if a client can take it; else with less of one part, and all of that part kept.

    Args:
        part: a list, which keeps its first elements; or name → buckets, which keeps the largest names and, of a
            single one that is too large itself, the last buckets
        records: the whole part, as rows
        advice: how to ask for less
    """
    if len(encoded(answer)) <= ANSWER_BYTES:
        return answer
    whole = answer[part]
    room = ANSWER_BYTES - len(encoded({**answer, part: None}))
    left = _largest(whole, room) if isinstance(whole, Mapping) else whole[: fitting([*map(encoded, whole)], room)]
    uri = call.results.keep(tool, records)
    return {
        **answer,
        part: left,
        "truncated": True,
        "note": f"Truncated: {part} has {len(left)} of {len(whole)}. {advice}; or read {uri}.",
        "full_result": uri,
    }


def _largest(series: Mapping[str, Any], room: int) -> dict[str, Any]:
    by_size = sorted(series, key=lambda name: -_sum(series[name]))
    number = fitting([encoded({name: series[name]}) for name in by_size], room)
    if number or not by_size:
        kept = set(by_size[:number])
        return {name: buckets for name, buckets in series.items() if name in kept}
    name = by_size[0]
    last = [*series[name].items()][::-1]
    number = fitting([encoded(bucket) for bucket in last], room - len(encoded(name)))
    return {name: dict(last[:number][::-1])}


def _sum(buckets: Any) -> float:
    return sum(buckets.values()) if isinstance(buckets, Mapping) else 0


def clipped(value: Any) -> Any:
    """The value; of a long text the beginning."""
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        return value[:_LONGEST_TEXT] + "…"
    return value

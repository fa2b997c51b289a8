"""What is too large to answer with is kept, and can be read piece by piece: bounded in number, bytes and age."""

import json
from collections.abc import Iterator
from typing import Any
from unittest.mock import create_autospec

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixpanel_data import Workspace
from mp_mcp_server.call import Call, Line
from mp_mcp_server.results import (
    ANSWER_BYTES,
    KEPT_BYTES,
    KEPT_ROWS,
    ResultNotFoundError,
    Results,
    encoded,
    fitting,
    sound,
)
from mp_mcp_server.tools.bounded import listing
from tests.mp_mcp_server.calling import Mcp, good

pytestmark = pytest.mark.anyio


class Clock:
    at = 0.0

    def __call__(self) -> float:
        return self.at


def ident(uri: str) -> str:
    return uri.removeprefix("result://").partition("?")[0]


def all_pages(results: Results, uri: str, limit: int = 1000) -> list[Any]:
    rows, offset = [], 0
    while True:
        page = results.page(ident(uri), offset, limit)
        assert page["offset"] == offset
        rows += page["rows"]
        if page["next"] is None:
            assert len(rows) == page["total"]
            return rows
        offset = int(page["next"].partition("?offset=")[2])


@given(
    st.lists(st.text(max_size=5) | st.integers() | st.dictionaries(st.text(), st.none()), max_size=40),
    st.integers(1, 9),
)
def test_every_row_is_read_once_and_in_order(rows: list[Any], limit: int) -> None:
    results = Results()
    assert all_pages(results, results.keep("sql", rows), limit) == rows


def test_a_page_is_as_large_as_an_answer_at_most_but_holds_a_row() -> None:
    results = Results()
    uri = results.keep("sql", ["x" * 100_000] * 5 + ["y" * (ANSWER_BYTES + 1)])
    assert len(results.page(ident(uri))["rows"]) == 2
    assert len(results.page(ident(uri), 5)["rows"]) == 1
    assert [len(row) for row in all_pages(results, uri)] == [100_000] * 5 + [ANSWER_BYTES + 1]


def test_of_very_many_rows_the_first_are_kept_and_it_is_told() -> None:
    results = Results()
    page = results.page(ident(results.keep("sql", iter(range(KEPT_ROWS + 1)))))
    assert (page["total"], page["complete"]) == (KEPT_ROWS, False)
    wide = results.page(ident(results.keep("sql", ["x" * 1_000_000] * 9)))
    assert wide["total"] * 1_000_000 <= KEPT_BYTES < (wide["total"] + 1) * 1_000_002
    assert wide["complete"] is False


def test_the_oldest_go_when_there_are_too_many_or_too_large_ones() -> None:
    results = Results(most=2, most_bytes=100)
    first, second, third = (results.keep("sql", [name]) for name in "abc")
    with pytest.raises(ResultNotFoundError):
        results.page(ident(first))
    assert results.page(ident(second))["rows"] == ["b"]
    assert results.page(ident(third))["rows"] == ["c"]
    results.keep("sql", ["x" * 96])
    with pytest.raises(ResultNotFoundError):
        results.page(ident(third))


def test_what_is_too_old_is_gone() -> None:
    clock = Clock()
    results = Results(age_s=60, now=clock)
    uri = results.keep("sql", [1])
    clock.at = 59.0
    assert results.page(ident(uri))["rows"] == [1]
    clock.at = 61.0
    with pytest.raises(ResultNotFoundError) as caught:
        results.page(ident(uri))
    assert "1 minutes" in str(caught.value.fix)


@pytest.mark.parametrize("offset", [-5, 0, 3, 10**9])
def test_any_offset_is_answered(offset: int) -> None:
    results = Results()
    page = results.page(ident(results.keep("sql", [0, 1, 2, 3])), offset, -1)
    assert page["rows"] == [0, 1, 2, 3][max(offset, 0) :][:1]


@given(st.lists(st.binary(max_size=9)), st.integers(0, 60))
def test_what_fits_is_the_longest_beginning_that_is_small_enough(texts: list[bytes], room: int) -> None:
    number = fitting(texts, room)
    assert sum(len(text) + 1 for text in texts[:number]) <= room
    assert number == len(texts) or sum(len(text) + 1 for text in texts[: number + 1]) > room


@given(st.text(st.characters(exclude_categories=()), max_size=6))
def test_half_a_character_leaves_a_mark_and_whole_ones_stay(text: str) -> None:
    left = json.loads(encoded({"a": [text]}))["a"][0]
    assert sound([text]) == [left]
    left.encode()
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "ignore")
    assert left.replace("\ufffd", "") == whole.replace("\ufffd", "")


async def test_a_cut_answer_leads_to_all_of_its_rows(mcp: Mcp) -> None:
    await good(mcp, "fetch_events", from_date="2025-06-29", to_date="2025-06-29", limit=5)
    answer = await good(mcp, "sql", query="select n, n * 2 as twice from range(2500) t(n) order by n", limit=20)
    rows: list[dict[str, Any]] = []
    uri: str | None = answer["full_result"]
    pages = 0
    while uri is not None:
        (content,) = await mcp.read_resource(uri)
        page = json.loads(content.text)  # type: ignore[union-attr]  # JSON text
        rows, uri, pages = rows + page["rows"], page["next"], pages + 1
        assert (page["tool"], page["complete"]) == ("sql", True)
    assert rows == [{"n": n, "twice": n * 2} for n in range(2500)]
    assert pages == 3


async def test_a_result_that_is_gone_says_what_to_do(mcp: Mcp) -> None:
    from mcp.shared.exceptions import MCPError

    with pytest.raises(MCPError) as caught:
        await mcp.read_resource("result://nothing")
    assert "call the tool again" in json.dumps(caught.value.error.data) + str(caught.value)


async def test_half_a_character_in_the_data_breaks_no_answer(mcp: Mcp) -> None:
    script = 'function main() { return Events({from_date: params.day, to_date: params.day}).map(e => "a\\ud83d") }'
    answer = await good(mcp, "jql", script=script, params={"day": "2025-06-29"})
    assert set(answer["result"]) == {"a\ufffd"}


def test_of_rows_without_end_no_more_are_taken_than_are_kept() -> None:
    taken = 0

    def rows() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield 7

    call = Call(create_autospec(Workspace), create_autospec(Line))
    answer = listing(call, "sql", rows(), limit=10, advice="Ask for less")
    assert (answer["result"], answer["truncated"]) == ([7] * 10, True)
    assert taken == KEPT_ROWS + 1
    kept = call.results.page(ident(answer["full_result"]))
    assert (kept["total"], kept["complete"]) == (KEPT_ROWS, False)

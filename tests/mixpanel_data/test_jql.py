"""Scripts: what goes out, what comes back, and how it becomes a table."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from mixpanel_data import (
    APIError,
    InvalidArgumentError,
    JQLResult,
    JQLSyntaxError,
    MixpanelAPIClient,
    QueryError,
    Workspace,
)
from mixpanel_data.jql import jql
from tests.fixtures.emulator import brute
from tests.support import crafted as known
from tests.support.emulator import Emulator
from tests.support.scripted_http import Reply, ScriptedServer

RANGE = {"from_date": known.FIRST.isoformat(), "to_date": known.LAST.isoformat()}
BY_NAME = "function main() { return Events(params).groupBy(['name'], mixpanel.reducer.count()); }"
VISIBLE = brute.within(brute.visible(known.rows(), 2**60), known.FIRST, known.LAST, known.ZONE)


def test_a_script_runs_over_the_events_with_its_params(crafted_workspace: Workspace) -> None:
    got = crafted_workspace.jql(BY_NAME, RANGE)
    assert {row["key"][0]: row["value"] for row in got.raw} == Counter(row.event for row in VISIBLE)
    assert got.to_dict() == {"raw": got.raw, "row_count": len(known.EVENTS)}
    assert list(got.df.columns) == ["key_0", "value"]
    assert got.df["value"].sum() == len(VISIBLE)


@pytest.mark.parametrize("text", ['"; throw new Error("x"); "', "\\", "naïve 名 \u2028 </script>", "';", "${1}"])
def test_params_are_values_and_never_a_part_of_the_script(crafted_workspace: Workspace, text: str) -> None:
    script = "function main() { return Events(params.range).map(function () { return params.text; }); }"
    got = crafted_workspace.jql(script, {"text": text, "range": RANGE})
    assert set(got.raw) == {text}


def test_a_script_that_fails_says_where(crafted_workspace: Workspace) -> None:
    with pytest.raises(JQLSyntaxError, match="nope is not defined") as caught:
        crafted_workspace.jql("function main() {\n  return nope;\n}")
    error = caught.value
    assert (error.error_type, error.error_message) == ("ReferenceError", "nope is not defined")
    assert "return nope;" in str(error.line_info)
    assert error.script == "function main() {\n  return nope;\n}"


def test_script_and_params_travel_as_a_form(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    server.say(Reply(body=b"[412]"))
    assert jql(client, "s", {"a": ["ü", None]}).raw == [412]
    assert jql(client, "s").raw == [412]
    first, second = server.received
    assert (first.method, first.form) == ("POST", {"script": "s", "params": '{"a":["ü",null]}'})
    assert second.form == {"script": "s"}
    assert first.parameters == {"project_id": "4100200"}


def test_where_jql_is_gone_the_refusal_comes_through(crafted_workspace: Workspace, crafted: Emulator) -> None:
    with crafted.changed(jql_removed=True), pytest.raises(QueryError, match="Invalid API endpoint"):
        crafted_workspace.jql(BY_NAME, RANGE)


TABLES: list[tuple[list[Any], list[str], list[tuple[Any, ...]]]] = [
    ([{"key": ["a"], "value": 1}, {"key": ["b"], "value": 2}], ["key_0", "value"], [("a", 1), ("b", 2)]),
    ([{"key": ["a", "x"], "value": [1, 2]}], ["key_0", "key_1", "value_0", "value_1"], [("a", "x", 1, 2)]),
    (
        [{"key": ["a", "x"], "value": [1]}, {"key": ["b"], "value": [1, 2]}],
        ["key_0", "key_1", "value_0", "value_1"],
        [("a", "x", 1, None), ("b", None, 1, 2)],
    ),
    ([{"key": [], "value": {"count": 2}}], ["value"], [({"count": 2},)]),
    ([{"a": 1}, {"b": 2, "a": 3}], ["a", "b"], [(1, None), (3, 2)]),
    ([{"key": "a", "value": 1}], ["key", "value"], [("a", 1)]),
    ([{"key": ["a"], "value": 1, "more": 2}], ["key", "value", "more"], [(["a"], 1, 2)]),
    ([1, "x", None], ["value"], [(1,), ("x",), (None,)]),
    ([[1, 2], {"a": 1}], ["value"], [([1, 2],), ({"a": 1},)]),
    ([], ["value"], []),
]


@pytest.mark.parametrize(("raw", "columns", "rows"), TABLES)
def test_rows_become_a_table(raw: list[Any], columns: list[str], rows: list[tuple[Any, ...]]) -> None:
    got = JQLResult(raw)
    assert [tuple(row) for row in (record.values() for record in got.to_table_dict())] == rows
    assert list(got.df.columns) == columns
    assert len(got.df) == got.row_count == len(raw)


def test_scalars_and_lists_together_are_no_table() -> None:
    mixed = JQLResult([{"key": ["a"], "value": 1}, {"key": ["b"], "value": [1]}])
    for ask in (lambda: mixed.df, mixed.to_table_dict):
        with pytest.raises(ValueError, match="lists"):
            ask()
    assert mixed.to_dict()["row_count"] == 2


@pytest.mark.parametrize("body", [b"{}", b'"x"', b"null", b"[NaN]", b"[1e999]", b"[" * 200 + b"]" * 200])
def test_what_is_no_list_of_json_is_an_api_error(
    client: MixpanelAPIClient, server: ScriptedServer, body: bytes
) -> None:
    server.say(Reply(body=body))
    with pytest.raises(APIError, match=r"jql|JSON"):
        jql(client, "s")


@pytest.mark.parametrize("params", [{"a": float("nan")}, {"a": {1, 2}}, {"a": b"x"}, {("a",): 1}])
def test_params_are_json(client: MixpanelAPIClient, server: ScriptedServer, params: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="params"):
        jql(client, "s", params)
    with pytest.raises(InvalidArgumentError, match="script"):
        jql(client, " \n")
    assert not server.received

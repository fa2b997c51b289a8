"""`mp query sql` and `mp inspect` over the local tables: what they let through, what they cut, what they drop."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mixpanel_data import Workspace
from tests.mixpanel_data.cli.conftest import FIRST, LAST, Mp, mp_process


@pytest.fixture
def own(on_emulator: pytest.MonkeyPatch, mp: Mp) -> Workspace:
    """A database of this test's own, with two tables of events."""
    for name in ("first", "second"):
        assert mp("fetch", "events", name, "--from", LAST, "--to", LAST).code == 0
    return Workspace(read_only=True)


def test_a_scalar_is_an_object_or_the_value_alone(on_fetched: Workspace, mp: Mp) -> None:
    count = on_fetched.sql_scalar("select count(*) from events")
    asked = ("query", "sql", "select count(*) as n from events", "--scalar")
    assert json.loads(mp(*asked).out) == {"value": count}
    assert mp(*asked, "-f", "plain").out == f"{count}\n"
    assert mp(*asked, "-f", "csv").out == f"value\n{count}\n"
    assert mp("query", "sql", "select null", "-s", "-f", "plain").out == "value=\n"
    assert json.loads(mp("query", "sql", "select 1 where false", "-s").out) == {"value": None}


def test_a_query_comes_from_a_file_or_from_stdin(on_fetched: Workspace, mp: Mp, tmp_path: Path) -> None:
    file = tmp_path / "query.sql"
    file.write_text("select 'ü' as a", encoding="utf-8")
    assert json.loads(mp("query", "sql", "--file", str(file)).out) == [{"a": "ü"}]
    assert mp_process("query", "sql", "-F", "-", "-f", "plain", stdin="select 7").stdout == "7\n"
    file.write_bytes(b"\xff\xfe")
    assert mp("query", "sql", "-F", str(file)).code == 3


def test_rows_beyond_the_bound_are_left_out_and_that_is_said(on_fetched: Workspace, mp: Mp) -> None:
    ran = mp("query", "sql", "from range(10)", "--max-rows", "3", "-f", "csv")
    assert (ran.code, ran.out) == (0, "range\n0\n1\n2\n")
    assert "only the first 3 rows" in ran.err
    assert mp("query", "sql", "from range(20000)", "--jq", "length").out == "20000\n"


@pytest.mark.parametrize(
    "query",
    [
        "drop table events",
        "insert into events select * from events",
        "select 1; select 2",
        "selec",
        "select * from read_text('/etc/hostname')",
        "",
    ],
)
def test_a_query_that_does_more_than_read_is_3(on_fetched: Workspace, mp: Mp, query: str) -> None:
    ran = mp("query", "sql", query)
    assert (ran.code, ran.out) == (3, "")
    assert "  fix: " in ran.err


def test_no_database_and_no_table_are_4(on_emulator: pytest.MonkeyPatch, mp: Mp) -> None:
    for words in (("query", "sql", "select 1"), ("inspect", "schema", "-t", "events")):
        ran = mp(*words)
        assert (ran.code, ran.out) == (4, "")
        assert "mp " in ran.err
    assert mp("inspect", "tables") == (0, "[]\n", "")


@pytest.mark.parametrize("command", ["schema", "sample", "summarize", "breakdown", "keys", "drop"])
def test_an_unknown_table_is_4(on_fetched: Workspace, mp: Mp, command: str) -> None:
    ran = mp("inspect", command, "-t", "nowhere")
    assert (ran.code, ran.out) == (4, "")
    assert "mp inspect tables" in ran.err


def test_a_sample_is_rows_of_the_table(on_fetched: Workspace, mp: Mp) -> None:
    ran = mp("inspect", "sample", "-t", "events", "-n", "3")
    rows = json.loads(ran.out)
    known = {tuple(map(str, row)) for row in on_fetched.sql_rows("select event_name, insert_id from events")}
    assert ran.code == 0
    assert len(rows) == 3
    assert {(row["event_name"], row["insert_id"]) for row in rows} <= known
    assert list(rows[0]) == ["event_name", "event_time", "distinct_id", "insert_id", "properties"]
    for form in ("table", "csv", "jsonl", "plain"):
        assert mp("inspect", "sample", "-t", "events", "-n", "3", "-f", form).code == 0
    assert mp("inspect", "sample", "-t", "events", "-n", "0").code == 3


def test_a_table_is_dropped_by_force_only(own: Workspace, mp: Mp) -> None:
    ran = mp("inspect", "drop", "-t", "first")
    assert (ran.code, ran.out) == (2, "")
    assert "mp inspect drop -t first --force" in ran.err
    assert [table.name for table in own.tables()] == ["first", "second"]
    assert json.loads(mp("inspect", "drop", "-t", "first", "--force").out) == {"dropped": "first"}
    assert [table.name for table in own.tables()] == ["second"]


def test_all_tables_of_a_kind_are_dropped_by_force_only(own: Workspace, mp: Mp) -> None:
    ran = mp("inspect", "drop-all")
    assert (ran.code, ran.out) == (2, "")
    assert "first, second" in ran.err
    assert json.loads(mp("inspect", "drop-all", "-t", "profiles").out) == {"dropped": []}
    assert mp("inspect", "drop-all", "-t", "funnels", "--force").code == 3
    assert json.loads(mp("inspect", "drop-all", "--force").out) == {"dropped": ["first", "second"]}
    assert own.tables() == []
    assert json.loads(mp("inspect", "drop-all").out) == {"dropped": []}


def test_a_script_comes_from_a_file_with_its_parameters(
    on_emulator: pytest.MonkeyPatch, mp: Mp, tmp_path: Path
) -> None:
    script = tmp_path / "count.js"
    script.write_text(
        f"""function main() {{
            return Events({{from_date: "{FIRST}", to_date: "{LAST}", event_selectors: [{{event: params.event}}]}})
                .reduce(mixpanel.reducer.count());
        }}"""
    )
    ran = mp("query", "jql", str(script), "--param", "event=App Open", "--jq", ".raw[0]")
    total = json.loads(mp("query", "segmentation", "-e", "App Open", "--from", FIRST, "--to", LAST).out)["total"]
    assert (ran.code, int(ran.out)) == (0, total)


def test_an_error_of_a_script_is_3_and_points_at_its_line(on_emulator: pytest.MonkeyPatch, mp: Mp) -> None:
    ran = mp("query", "jql", "-c", "function main() { return nothing.at.all; }")
    assert (ran.code, ran.out) == (3, "")
    assert "ReferenceError" in ran.err

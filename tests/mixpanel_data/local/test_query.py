"""The user's own SQL, and values on their way to JSON."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixpanel_data import DatabaseNotFoundError, QueryError, SQLResult, Workspace
from mixpanel_data.local.query import json_ready
from tests.support.examples import examples
from tests.support.stores import file_of


def test_sql_comes_as_a_frame_a_cell_or_rows(workspace: Workspace) -> None:
    workspace.sql("create table t as select range as i, 'n' || range as name from range(3)")
    assert workspace.sql("from t").to_dict("list") == {"i": [0, 1, 2], "name": ["n0", "n1", "n2"]}
    assert workspace.sql_scalar("select sum(i) from t") == 3
    assert workspace.sql_scalar("select i from t where i > 5") is None
    got = workspace.sql_rows("from t order by i desc")
    assert (got.columns, got.rows, len(got), next(iter(got))) == (
        ("i", "name"),
        ((2, "n2"), (1, "n1"), (0, "n0")),
        3,
        (2, "n2"),
    )
    assert got.to_dicts()[0] == {"i": 2, "name": "n2"}
    assert got.df.to_dict("list") == {"i": [2, 1, 0], "name": ["n2", "n1", "n0"]}
    assert got.to_dict() == {
        "columns": ["i", "name"],
        "rows": [[2, "n2"], [1, "n1"], [0, "n0"]],
        "row_count": 3,
        "truncated": False,
    }


def test_the_users_own_sql_may_do_what_it_likes(workspace: Workspace, tmp_path: Path) -> None:
    workspace.sql_rows(f"copy (select 7 as x) to '{tmp_path / 'o.csv'}'")
    assert workspace.sql_scalar(f"select x from read_csv('{tmp_path / 'o.csv'}')") == 7
    assert workspace.sql_rows("create table t as select 1 as i; insert into t values (2); from t").rows == ((1,), (2,))


def test_times_with_a_zone_come_as_utc(workspace: Workspace) -> None:
    query = "select 1 as n, timestamptz '2025-06-01 12:00:00+02' as at"
    assert workspace.sql_rows(query).rows == ((1, "2025-06-01 10:00:00+00"),)
    assert workspace.sql_scalar("select timestamptz '2025-06-01 12:00:00+02'") == "2025-06-01 10:00:00+00"
    assert workspace.sql(query)["at"][0] == datetime(2025, 6, 1, 10, tzinfo=UTC)


def test_errors_of_the_engine_are_query_errors(workspace: Workspace) -> None:
    for ask in (workspace.sql, workspace.sql_scalar, workspace.sql_rows):
        with pytest.raises(QueryError) as caught:
            ask("select nonsense from nowhere")
        assert caught.value.status_code == 0
        assert caught.value.details["response_body"]["query"] == "select nonsense from nowhere"
        assert "nowhere" in caught.value.details["response_body"]["error"]


def test_an_endless_query_does_not_keep_the_file(workspace: Workspace) -> None:
    assert workspace.sql_scalar("with recursive r as (select 1 as x union all select x + 1 from r) from r") == 1
    assert workspace.sql_scalar("select 2") == 2


def test_a_read_only_workspace_changes_nothing_and_makes_nothing(workspace: Workspace, tmp_path: Path) -> None:
    workspace.sql("create table t as select 1 as i")
    before = file_of(workspace).read_bytes()
    with Workspace.open(file_of(workspace)) as reader:
        assert reader.sql_scalar("from t") == 1
        with pytest.raises(QueryError, match="read-only"):
            reader.sql("drop table t")
    assert file_of(workspace).read_bytes() == before
    reader = Workspace(path=tmp_path / "none.db", read_only=True, _api_client=workspace.api)
    with pytest.raises(DatabaseNotFoundError):
        reader.sql("select 1")
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    ("value", "ready"),
    [
        (True, True),
        (2**53 - 1, 2**53 - 1),
        (2**53, "9007199254740992"),
        (-(2**100), str(-(2**100))),
        (1.5, 1.5),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (Decimal("1.50"), 1.5),
        (Decimal("3.00"), 3),
        (Decimal("0.1234567890123456789"), "0.1234567890123456789"),
        (Decimal("NaN"), "NaN"),
        (datetime(2025, 6, 1, 12, 0, 0, 5000, UTC), "2025-06-01T12:00:00.005000+00:00"),
        (date(2025, 6, 1), "2025-06-01"),
        (time(10, 30), "10:30:00"),
        (timedelta(days=1, milliseconds=5), 86400.005),
        (b"\x00\xff", "00ff"),
        (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        ({date(2025, 6, 1): [Decimal("1.5"), (None, b"a")], 3: "x"}, {"2025-06-01": [1.5, [None, "61"]], "3": "x"}),
    ],
)
def test_values_are_ready_for_json(value: Any, ready: Any) -> None:
    assert json_ready(value) == ready
    assert type(json_ready(value)) is type(ready)


def test_values_of_every_type_of_the_engine_reach_json(workspace: Workspace) -> None:
    query = """select null, true, 1::hugeint << 100, 1.5::decimal(9, 2), 'inf'::float, 'é'::varchar, 'ab'::blob,
        date '2025-06-01', time '10:00', timestamp '2025-06-01 10:00:00.123', timestamp_ns '2025-06-01 00:00:00.5',
        interval 3 day, uuid(), [1, null], {'a': [1.5::decimal(3, 1)]}, map {1: 'x'}, '{"a": 1}'::json, '101'::bit,
        'x'::enum('x'), union_value(a := 1), timestamp 'infinity', date '99999-01-01', now(), [now()]"""
    told = workspace.sql_rows(query).to_dict()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert len(told["rows"][0]) == 24


@examples(15, 50)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.text() | st.binary() | st.dates(),
        lambda inner: st.lists(inner) | st.dictionaries(st.integers() | st.text() | st.dates(), inner),
        max_leaves=5,
    )
)
def test_every_value_has_a_json_form(value: Any) -> None:
    assert json.dumps(json_ready(value), allow_nan=False)


def test_a_result_shows_its_size_and_not_its_rows() -> None:
    assert "private" not in repr(SQLResult(("a",), (("private",),)))

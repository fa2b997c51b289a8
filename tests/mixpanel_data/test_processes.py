"""Several processes at one database file: no error, no wrong answer, and who keeps it for himself is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mixpanel_data import DatabaseLockedError, Workspace
from mixpanel_data.local import store
from tests.support.stores import file_of

JUNE: dict[str, Any] = {"from_date": "2025-06-21", "to_date": "2025-06-30"}

# Each does its work again and again until its time is over, and then says what it found.
WORKER = """
import json, subprocess, sys, time
from mixpanel_data import Workspace
role, path, seconds, rows = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
found, end = [], time.monotonic() + seconds
with Workspace(path=path) as workspace:
    while time.monotonic() < end or not found:
        if role == "fetch":
            workspace.fetch_events(from_date="2025-06-21", to_date="2025-06-30", append=True, progress=False)
            workspace.fetch_profiles(append=True, progress=False)
            found.append(rows)
        elif role == "server":
            found.append(workspace.select("select count(*) from events").rows[0][0])
            found.append(sum(one.row_count for one in workspace.tables() if one.type == "events"))
            found.append(workspace.column_stats("events", "event_name || ''").count)
        elif role == "script":
            found.append(workspace.sql_scalar("select count(*) from events"))
            workspace.sql_rows("create or replace table scratch as select count(*) as n from events")
            found.append(workspace.event_breakdown("events").total_events)
            time.sleep(0.01)
        elif role == "mp":
            # `mp` takes the project's own place, which is this file here.
            mp = [sys.executable, "-m", "mixpanel_data.cli.app", "query", "sql", "select count(*) as n from events"]
            done = subprocess.run(mp, capture_output=True, text=True, check=False)
            found.append(json.loads(done.stdout)[0]["n"] if done.returncode == 0 else done.stderr)
        elif role == "questions":
            assert workspace.events()
            found.append(rows)
print(json.dumps({"times": len(found), "wrong": [one for one in found if one != rows]}))
"""


def at_it(path: Path, seconds: float, rows: int, roles: tuple[str, ...]) -> dict[str, Any]:
    """What each of these processes, all at work on the file at once, has to say."""
    command = [sys.executable, "-c", WORKER]
    running = {
        role: subprocess.Popen(
            [*command, role, str(path), str(seconds), str(rows)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for role in roles
    }
    told = {}
    for role, process in running.items():
        try:
            out, error = process.communicate(timeout=seconds + 120)
        finally:
            process.kill()
        assert process.returncode == 0, f"{role}: {error}"
        told[role] = json.loads(out)
    return told


@pytest.fixture
def shared(live_workspace: Workspace, environment: pytest.MonkeyPatch) -> Path:
    """The project's own file, with events and profiles in it."""
    with Workspace() as workspace:
        workspace.fetch_events(**JUNE)
        workspace.fetch_profiles()
        return file_of(workspace)


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(1, id="a moment"),
        pytest.param(60, id="a minute", marks=pytest.mark.soak),
    ],
)
def test_a_server_a_fetch_a_script_and_mp_get_on(shared: Path, seconds: float) -> None:
    with Workspace.open(shared) as reader:
        rows = reader.sql_scalar("select count(*) from events")
    told = at_it(shared, seconds, rows, ("fetch", "server", "script", "mp", "questions"))
    assert {role: one["wrong"] for role, one in told.items()} == {role: [] for role in told}
    assert all(one["times"] > 0 for one in told.values())
    with Workspace.open(shared) as reader:
        assert reader.event_breakdown("events").total_events == rows
        assert [(table.name, table.row_count) for table in reader.tables()] == [("events", rows), ("profiles", 120)]
    assert [entry.name for entry in shared.parent.iterdir()] == [shared.name]


@contextmanager
def held(path: Path) -> Iterator[int]:
    """The process id of somebody who keeps the file open to write."""
    script = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


def test_questions_to_mixpanel_do_not_look_at_the_file(live_workspace: Workspace) -> None:
    path = file_of(live_workspace)
    with held(path):
        assert live_workspace.events()
        name = live_workspace.events()[0]
        assert live_workspace.segmentation(name, **JUNE).total >= 0
        assert list(live_workspace.stream_profiles(distinct_id="nobody")) == []
        assert live_workspace.cohorts() is not None
        assert Workspace.test_credentials()["success"] is True


def test_who_meets_a_lock_waits_and_then_names_who_has_it(
    live_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    live_workspace.sql_rows("create table t as select 1 as x")
    monkeypatch.setattr(store, "LOCK_WAIT_S", 0.2)
    asked = (
        lambda: live_workspace.sql_rows("from t"),
        lambda: live_workspace.sql_rows("drop table t"),
        lambda: live_workspace.select("from t"),
        live_workspace.tables,
        lambda: live_workspace.table_schema("t"),
        lambda: live_workspace.drop("t"),
        lambda: live_workspace.connection,
        live_workspace.fetch_profiles,
    )
    with held(file_of(live_workspace)) as pid:
        for ask in asked:
            begun = time.monotonic()
            with pytest.raises(DatabaseLockedError) as caught:
                ask()
            assert 0.15 < time.monotonic() - begun < 30
            assert caught.value.holding_pid == pid
            assert caught.value.details["db_path"] == str(file_of(live_workspace))
            assert str(pid) in caught.value.message
    assert live_workspace.sql_rows("from t").rows == ((1,),), "and when it is let go, all is well"


def test_the_wait_is_five_seconds() -> None:
    assert store.LOCK_WAIT_S == 5.0


def test_readers_of_several_processes_are_there_at_once(live_workspace: Workspace) -> None:
    live_workspace.sql_rows("create table t as select 1 as x")
    path = file_of(live_workspace)
    script = (
        "import sys; from mixpanel_data import Workspace\n"
        "with Workspace.open(sys.argv[1]) as w: w.connection; print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ}
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert live_workspace.sql_scalar("from t") == 1
        assert live_workspace.select("from t").rows == ((1,),)
        assert live_workspace.table_schema("t").columns

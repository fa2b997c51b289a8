"""`kill -9` at named points of a fetch: never a wrong table, never a file that cannot be opened, nothing left over."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mixpanel_data import Workspace
from tests.support.emulator import Emulator
from tests.support.exported import Rows, as_rows, exported, stored_rows
from tests.support.repository import ROOT

SPAN: dict[str, Any] = {"from_date": "2025-06-12", "to_date": "2025-06-20"}
# Another table, and days before and within those that are fetched again.
EARLIER: dict[str, Any] = {"from_date": "2025-06-08", "to_date": "2025-06-14"}

POINTS = {
    "spool": "mixpanel_data.local.inflow:Inflow.write:after",
    "spooled": "mixpanel_data.local.inflow:Inflow.finish:before",
    "stage": "mixpanel_data.local.load:Staging.load:after",
    "deduplicate": "mixpanel_data.local.load:Staging.finish:after",
    "merge": "mixpanel_data.local.merge:_Merge._store:after",
    "ledger": "mixpanel_data.local.ledger:complete:after",
    "swap": "mixpanel_data.local.merge:_Merge._note:after",
    "swapped": "mixpanel_data.local.merge:_Merge.run:after",
}


@pytest.fixture(scope="module")
def truth(emulator: Emulator) -> Rows:
    return as_rows(exported(emulator, SPAN["from_date"], SPAN["to_date"]))


@pytest.fixture(scope="module")
def before(emulator: Emulator) -> Rows:
    return as_rows(exported(emulator, EARLIER["from_date"], EARLIER["to_date"]))


@pytest.fixture(scope="module")
def prepared(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the earlier days, of which one event is out of date and one is gone at the service."""
    path = tmp_path_factory.mktemp("prepared") / "store.db"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in emulator.environment.items():
            patch.setenv(name, value)
        with Workspace(path=path) as workspace:
            workspace.fetch_events(**EARLIER)
            workspace.fetch_events("other", **EARLIER)
    return path


def killed(emulator: Emulator, path: Path, how: str, where: str, point: str) -> None:
    """Run a fetch that is killed at that point."""
    arguments = [str(path), SPAN["from_date"], SPAN["to_date"], how, where, "SIGKILL", point]
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.killed_fetch", *arguments],
        cwd=ROOT, env={**os.environ, **emulator.environment}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr


def within(rows: Rows, first: str, last: str) -> Rows:
    """The rows of these days."""
    con = duckdb.connect()
    low, high = con.execute(
        "select epoch_ms(?::timestamp), epoch_ms(?::timestamp + interval 1 day)", [first, last]
    ).fetchall()[0]
    return {key: value for key, value in rows.items() if low <= key[1] < high}


def check(workspace: Workspace, before: Rows, truth: Rows) -> None:
    """Each piece is wholly there or not at all, and the ledger says which."""
    names = [table.name for table in workspace.tables()]
    if "events" not in names:
        assert not before
        return
    held = stored_rows(workspace)
    fresh = dict(before)
    for first, last in workspace.sql_rows(
        "select from_date::varchar, to_date::varchar from _ledger where state = 'complete' and table_name = 'events'"
    ).rows:
        gone = within(fresh, first, last)
        fresh = {key: value for key, value in fresh.items() if key not in gone}
        fresh |= within({**before, **truth}, first, last)
    assert held == fresh
    assert next(table for table in workspace.tables() if table.name == "events").row_count == len(held)


@dataclass(frozen=True)
class Scene:
    """Where fetches are killed, and what is right there."""

    emulator: Emulator
    workspace: Workspace
    path: Path
    prepared: Path
    before: Rows
    truth: Rows

    def hit(self, how: str, where: str, point: str) -> None:
        """Kill a fetch at that point, look at what is left, and fetch again."""
        workspace, path = self.workspace, self.path
        known = self.before if where == "append" else {}
        path.unlink(missing_ok=True)
        path.with_name(path.name + ".wal").unlink(missing_ok=True)
        if where == "append":
            shutil.copy(self.prepared, path)
        killed(self.emulator, path, how, where, point)
        check(workspace, known, self.truth)
        more: dict[str, Any] = {"parallel": how == "pieces", "chunk_days": 3, "max_workers": 2}
        table = next((table for table in workspace.tables() if table.name == "events"), None)
        done = table is not None and not table.gaps
        workspace.fetch_events(**SPAN, **more, append=where == "append" or done)
        assert stored_rows(workspace) == {**known, **self.truth}
        if where == "append":
            assert stored_rows(workspace, "other") == self.before
        assert workspace.tables()[0].gaps == ()
        assert not list(path.parent.glob(".*.work"))


@pytest.fixture
def scene(
    live_workspace: Workspace, tmp_path: Path, emulator: Emulator, prepared: Path, before: Rows, truth: Rows
) -> Scene:
    return Scene(emulator, live_workspace, tmp_path / "store.db", prepared, before, truth)


@pytest.mark.parametrize(("number", "name"), list(enumerate(["spool", "stage", "merge", "ledger", "swap"])))
def test_a_fetch_that_is_killed_leaves_a_right_table(scene: Scene, number: int, name: str) -> None:
    how, where = [("one", "append"), ("pieces", "first"), ("one", "first"), ("pieces", "append")][number % 4]
    scene.hit(how, where, f"{POINTS[name]}:{1 if how == 'one' else 2}")


@pytest.mark.soak
@pytest.mark.parametrize("where", ["first", "append"])
@pytest.mark.parametrize("how", ["one", "pieces"])
@pytest.mark.parametrize("name", POINTS)
def test_it_does_so_at_five_hits_of_each_point(scene: Scene, name: str, how: str, where: str) -> None:
    numbers = (1, 2, 3, 1, 2) if how == "pieces" else (1, 1, 1, 1, 1)
    for number in numbers:
        scene.hit(how, where, f"{POINTS[name]}:{number}")

"""Ctrl-C in a fetch: KeyboardInterrupt leaves it, nothing else, with a word on how to go on; nothing is left over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mixpanel_data import Workspace
from tests.support.emulator import Emulator
from tests.support.exported import Rows, as_rows, exported, stored_rows
from tests.support.faults import going_wrong
from tests.support.repository import ROOT

SPAN: dict[str, Any] = {"from_date": "2025-06-12", "to_date": "2025-06-20"}
PARALLEL: dict[str, Any] = {"parallel": True, "chunk_days": 3, "max_workers": 2}

EVENT_POINTS = {
    "spool": "mixpanel_data.local.inflow:Inflow.write:before:1",
    "spooled": "mixpanel_data.local.inflow:Inflow.finish:before:1",
    "stage": "mixpanel_data.local.load:Staging.load:before:1",
    "staged": "mixpanel_data.local.load:Staging.load:after:1",
    "deduplicate": "mixpanel_data.local.load:Staging.finish:before:1",
    "attach": "mixpanel_data.local.store:attached:before:1",
    "merge": "mixpanel_data.local.merge:_Merge._store:before:1",
    "ledger": "mixpanel_data.local.ledger:complete:before:1",
    "swapped": "mixpanel_data.local.merge:_Merge.run:after:1",
    "clean": "mixpanel_data.local.workdir:_remove:before:1",
}
PROFILE_POINTS = {
    "page": "mixpanel_data.profile_fetch:_Job._page:before:1",
    "stage": "mixpanel_data.local.profiles:ProfileStaging.load:before:1",
    "merge": "mixpanel_data.local.profiles:_bring:before:1",
    "merged": "mixpanel_data.local.profiles:_merged:after:1",
}
NORMAL = [("one", "stage"), ("pieces", "merge"), ("profiles", "merge"), ("pages", "page")]
ALL = [(how, name) for how in ("one", "pieces") for name in EVENT_POINTS] + [
    (how, name) for how in ("profiles", "pages") for name in PROFILE_POINTS
]


@pytest.fixture(scope="module")
def truth(emulator: Emulator) -> Rows:
    return as_rows(exported(emulator, SPAN["from_date"], SPAN["to_date"]))


def interrupted(emulator: Emulator, path: Path, how: str, point: str) -> str:
    """Run a fetch that is interrupted at that point; what it wrote on stderr, nothing if it was over before that."""
    arguments = [str(path), SPAN["from_date"], SPAN["to_date"], how, "first", "SIGINT", point]
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.killed_fetch", *arguments],
        cwd=ROOT, env={**os.environ, **emulator.environment}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.stdout == ""
    if point.startswith("time:") and done.returncode == 0:
        return ""
    assert done.returncode == -signal.SIGINT, done.stderr
    return done.stderr


def look(live: Workspace, truth: Rows, how: str, said: str) -> None:
    """The interrupt was told as one; what is stored is right, and the same call brings the rest."""
    assert live.db_path is not None
    assert not list(live.db_path.parent.glob(".*.work"))
    if said:
        last = [line for line in said.splitlines() if line and not line.startswith(" ")][-2:]
        assert last[0] == "KeyboardInterrupt", said
        assert "the same call fetches" in last[1] or last[1] == "all of it was done already", said
        assert "During handling" not in said
        assert "The above exception" not in said
    names = {table.name for table in live.tables()}
    if how in {"profiles", "pages"}:
        if "profiles" not in names:
            live.fetch_profiles(parallel=how == "pages")
        assert live.sql_scalar("select count(*) from profiles") == live.sql_scalar(
            "select count(distinct distinct_id) from profiles"
        )
        assert live.sql_scalar("select count(*) from profiles") > 50
        return
    if "events" not in names or live.tables()[0].gaps:
        live.fetch_events(**SPAN, **(PARALLEL if how == "pieces" else {}))
    assert stored_rows(live) == truth
    assert live.tables()[0].gaps == ()


def points(how: str) -> dict[str, str]:
    return PROFILE_POINTS if how in {"profiles", "pages"} else EVENT_POINTS


@pytest.mark.parametrize(("how", "name"), NORMAL)
def test_an_interrupt_leaves_a_fetch_as_one(
    live_workspace: Workspace, emulator: Emulator, truth: Rows, tmp_path: Path, how: str, name: str
) -> None:
    said = interrupted(emulator, tmp_path / "store.db", how, points(how)[name])
    look(live_workspace, truth, how, said)


@pytest.mark.soak
@pytest.mark.parametrize(("how", "name"), ALL)
def test_it_does_so_at_every_point(
    live_workspace: Workspace, emulator: Emulator, truth: Rows, tmp_path: Path, how: str, name: str
) -> None:
    said = interrupted(emulator, tmp_path / "store.db", how, points(how)[name])
    look(live_workspace, truth, how, said)


@pytest.mark.soak
@pytest.mark.parametrize("how", ["one", "pieces", "profiles", "pages"])
@pytest.mark.parametrize("number", range(30))
def test_it_does_so_at_any_moment(
    live_workspace: Workspace, emulator: Emulator, truth: Rows, tmp_path: Path, how: str, number: int
) -> None:
    said = interrupted(emulator, tmp_path / "store.db", how, f"time:{number * 0.02:.2f}")
    look(live_workspace, truth, how, said)


@pytest.mark.parametrize("how", ["one", "pages"])
def test_who_waits_for_a_byte_is_interrupted_too(
    live_workspace: Workspace, emulator: Emulator, truth: Rows, tmp_path: Path, how: str
) -> None:
    path = "*/export" if how == "one" else "*/engage"
    with going_wrong(emulator, {"kind": "stall", "value": 200, "path": path}):
        said = interrupted(emulator, tmp_path / "store.db", how, "time:1")
    assert said
    assert f"nothing of {'events' if how == 'one' else 'profiles'} was stored by this fetch" in said
    look(live_workspace, truth, how, said)

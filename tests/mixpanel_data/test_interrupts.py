"""Ctrl-C in a fetch: KeyboardInterrupt leaves it, nothing else, with a word on how to go on; nothing is left over."""

from __future__ import annotations

import _thread
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import pytest

from mixpanel_data import ParallelFetchResult, Workspace, interrupts
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
        *_, last, note = ["", *(line for line in said.splitlines() if line and not line.startswith(" "))]
        if note == "KeyboardInterrupt":
            assert "interrupts.py" not in said, "only where the fetch has not begun, there is nothing to say of it"
        else:
            assert last == "KeyboardInterrupt", said
            assert "the same call fetches" in note or note == "all of it was done already", said
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
@pytest.mark.parametrize("number", range(8))
def test_it_does_so_at_any_moment(
    live_workspace: Workspace, emulator: Emulator, truth: Rows, tmp_path: Path, how: str, number: int
) -> None:
    said = interrupted(emulator, tmp_path / "store.db", how, f"time:{0.02 + number * 0.06:.2f}")
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


def test_who_is_told_is_told_in_the_thread_that_asked_and_may_interrupt_it(
    live_workspace: Workspace, truth: Rows
) -> None:
    told: list[threading.Thread] = []

    def interrupt(_: object) -> None:
        told.append(threading.current_thread())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        live_workspace.fetch_events(**SPAN, **PARALLEL, on_batch_complete=interrupt)
    assert told == [threading.current_thread()]
    assert caught.value.__notes__ == ["1 of 3 pieces of events are stored; the same call fetches the rest"]
    with pytest.raises(KeyboardInterrupt) as caught:
        live_workspace.fetch_profiles(on_page_complete=interrupt)
    assert caught.value.__notes__ == ["nothing of profiles was stored by this fetch; the same call fetches it"]
    assert [table.name for table in live_workspace.tables()] == ["events"]
    result = live_workspace.fetch_events(**SPAN, **PARALLEL)
    assert isinstance(result, ParallelFetchResult)
    assert result.successful_batches == 2
    assert stored_rows(live_workspace) == truth


def test_a_question_in_sql_is_interrupted_as_everything_is(tmp_path: Path) -> None:
    script = """
import os, signal, sys, threading, time
from mixpanel_data.local.engine import StorageEngine
signal.signal(signal.SIGINT, signal.default_int_handler)
engine = StorageEngine(sys.argv[1])
engine.execute_rows("create table t as select 1")
def interrupt():
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt, daemon=True).start()
engine.execute_rows("select count(*) from range(100000000) a, range(100000000) b")
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "store.db")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGINT, done.stderr
    assert done.stderr.rstrip().endswith("KeyboardInterrupt")
    assert "RuntimeError" not in done.stderr


def test_another_thread_does_its_work_itself() -> None:
    done: list[threading.Thread] = []
    other = threading.Thread(target=lambda: interrupts.guarded(lambda: done.append(threading.current_thread())))
    other.start()
    other.join(120)
    assert done == [other]


def test_what_the_work_raises_and_gives_comes_out() -> None:
    def fail() -> None:
        raise LookupError("x")

    assert interrupts.guarded(lambda: 7) == 7
    with pytest.raises(LookupError, match="x"):
        interrupts.guarded(fail)


def test_what_hears_of_the_end_is_told_until_it_ends_and_what_cleans_up_is_not() -> None:
    told = threading.Semaphore(0)
    begun, cleaning, heard_later = threading.Event(), threading.Event(), []

    def heard() -> None:
        if cleaning.is_set():
            heard_later.append(1)
        told.release()

    def work() -> None:
        ending = interrupts.current()
        try:
            with ending.heard_by(heard):
                begun.set()
                for _ in range(3):
                    assert told.acquire(timeout=120)
                raise InterruptedError("as the engine says it")
        except interrupts.Ended:
            cleaning.set()
            wait({ending.over}, timeout=120)
            with pytest.raises(interrupts.Ended):
                ending.check()
            raise

    def call() -> None:
        interrupts.current().in_caller(interrupt)

    def interrupt() -> None:
        assert begun.wait(120)
        raise KeyboardInterrupt

    def both() -> None:
        other = interrupts.begin(call)
        try:
            work()
        finally:
            wait({other}, timeout=120)

    with pytest.raises(KeyboardInterrupt) as caught:
        interrupts.guarded(both)
    assert cleaning.is_set()
    assert heard_later == []
    assert caught.value.__notes__ == ["nothing was stored yet; the same call fetches it"]


def test_an_interrupt_is_heard_that_comes_just_before_the_wait() -> None:
    main, ended = threading.main_thread(), []

    def work() -> None:
        while sys._current_frames()[main.ident or 0].f_code.co_name != "_next":
            assert not interrupts.current().over.done()
        # Noted, as a signal is that comes in that moment, and nobody is woken.
        _thread.interrupt_main()
        ended.append(bool(wait({interrupts.current().over}, timeout=120).done))

    with pytest.raises(KeyboardInterrupt):
        interrupts.guarded(work)
    assert ended == [True], "before the work was over"

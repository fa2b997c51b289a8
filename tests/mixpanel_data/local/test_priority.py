"""Work that gives way: its threads, and those of the engine that it starts, and no others."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from mixpanel_data.local import load, priority
from mixpanel_data.local.inflow import Inflow
from mixpanel_data.local.load import Staging

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts this by thread")


def niceness() -> dict[int, int]:
    """That of each thread of this process."""
    found = {}
    for entry in Path("/proc/self/task").iterdir():
        try:
            found[int(entry.name)] = os.getpriority(os.PRIO_PROCESS, int(entry.name))
        except ProcessLookupError:  # another test's, which has just ended
            continue
    return found


def expected() -> int:
    return min(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) + priority.NICER, 19)


@pytest.mark.parametrize("gives_way", [True, False])
def test_the_threads_that_work_for_a_fetch_give_way_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gives_way: bool
) -> None:
    loading: list[int] = []
    original = Staging.load

    def loads(self: Staging, spool: Path, lines: int) -> None:
        loading.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        original(self, spool, lines)

    monkeypatch.setattr(load.Staging, "load", loads)
    before, usual = niceness(), os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    if usual == expected():
        pytest.skip("this process gives way to all others already")
    with Staging(tmp_path, gives_way=gives_way) as staging, Inflow(staging, tmp_path) as inflow:
        inflow.write(b'{"event": "E", "properties": {"time": 1748779200000, "distinct_id": "u"}}\n')
        assert inflow.finish().rows == 1
        after = niceness()
        (threads,) = staging.con.execute("select current_setting('threads')").fetchone() or (0,)
    assert loading == [expected() if gives_way else usual]
    new = [nice for thread, nice in after.items() if thread not in before]
    if gives_way:
        # one of those that it counts is the one that asks; and it has some more that wait for files
        assert new.count(expected()) >= threads - 1
    else:
        assert expected() not in new
    assert {thread: nice for thread, nice in after.items() if thread in before} == {
        thread: nice for thread, nice in before.items() if thread in after
    }


def test_what_a_system_forbids_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", forbidden)
    assert priority.giving_way(lambda: 7) == 7


def test_nobody_is_nicer_than_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(priority, "NICER", 100)
    assert priority.giving_way(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())) == 19


def test_where_threads_are_not_told_apart_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    usual = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert priority.giving_way(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())) == usual

"""A server, a fetch and a reader at one file, again and again: no error, no wrong answer."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mixpanel_data import Workspace
from tests.support.emulator import Emulator
from tests.support.exported import as_rows, exported, stored_rows

DAYS: dict[str, Any] = {"from_date": "2025-06-12", "to_date": "2025-06-20"}

# As the server asks: foreign SQL, and what there is; and as `mp` does: a workspace for each question.
READERS = {
    "server": """
with Workspace(path=path) as workspace:
    while going_on():
        assert workspace.select("select count(*), count(distinct insert_id) from events").rows == ((rows, ids),)
        assert [table.row_count for table in workspace.tables()] == [rows]
""",
    "mp": """
while going_on():
    with Workspace.open(path) as workspace:
        assert workspace.sql_rows("select count(*), count(distinct insert_id) from events").rows == ((rows, ids),)
""",
}
PROGRAM = """
import pathlib, sys
from mixpanel_data import Workspace
path, rows, ids, stop = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), pathlib.Path(sys.argv[4])
rounds = 0
def going_on():
    global rounds
    rounds += 1
    return not stop.exists()
{body}
print(rounds - 1)
"""


def together(workspace: Workspace, emulator: Emulator, tmp_path: Path, going_on: Callable[[int], bool]) -> int:
    """Fetch again and again while two processes read; how often."""
    truth = as_rows(exported(emulator, DAYS["from_date"], DAYS["to_date"]))
    workspace.fetch_events(**DAYS)
    stop = tmp_path / "stop"
    arguments = [str(tmp_path / "store.db"), str(len(truth)), str(len({key[3] for key in truth})), str(stop)]
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(body=body), *arguments],
            env={**os.environ, **emulator.environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for body in READERS.values()
    ]  # fmt: skip
    rounds = 0
    try:
        while going_on(rounds):
            parallel = rounds % 2 == 1
            workspace.fetch_events(**DAYS, append=True, parallel=parallel, chunk_days=5)
            rounds += 1
            assert [reader.poll() for reader in readers] == [None, None], [
                reader.communicate()[1] for reader in readers if reader.poll() is not None
            ]
    finally:
        stop.touch()
        told = [reader.communicate(timeout=120) for reader in readers]
    assert [(reader.returncode, errors) for reader, (_, errors) in zip(readers, told, strict=True)] == [(0, "")] * 2
    assert all(int(text) >= 1 for text, _ in told), "each has read"
    assert stored_rows(workspace) == truth
    return rounds


@pytest.mark.soak  # a normal run has its like in test_processes.py
def test_a_server_a_fetch_and_a_reader_get_on(live_workspace: Workspace, emulator: Emulator, tmp_path: Path) -> None:
    assert together(live_workspace, emulator, tmp_path, lambda rounds: rounds < 2) == 2


@pytest.mark.soak
def test_they_get_on_for_a_minute(live_workspace: Workspace, emulator: Emulator, tmp_path: Path) -> None:
    end = time.monotonic() + 60
    assert together(live_workspace, emulator, tmp_path, lambda _: time.monotonic() < end) >= 5

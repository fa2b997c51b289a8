"""pytest's usual habits: what plays a tape is marked, and recorded where that is asked for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cassettes import tape, written
from tests.support.repository import ROOT

CASES = "tests/harness/suite/test_memory.py"
PATIENCE_S = 240.0


def ran(directory: Path, cache_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MP_", "HARNESS_", "PYTEST_"))}
    own = {
        "HOME": str(directory),
        "HARNESS_STATE_DIR": str(directory / "state"),
        "HARNESS_EMULATOR_CACHE_DIR": str(cache_dir),
    }
    command = [sys.executable, "-m", "pytest", "-p", "harness.suite.plugin", "-p", "no:cacheprovider", "-q", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=kept | own, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def test_cases_are_marked(tmp_path: Path, cache_dir: Path) -> None:
    said = ran(tmp_path, cache_dir, "--collect-only", "-m", "recorded and not soak", CASES).stdout
    assert "[safe_large_fetch--confirmed]" in said
    assert "test_every_kind" not in said


def test_several_processes_do_not_record(tmp_path: Path, cache_dir: Path) -> None:
    done = ran(tmp_path, cache_dir, "-n", "2", "--record-mode", "missing", CASES)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "recordings are made by one process" in done.stderr


@pytest.mark.soak
def test_what_is_missing_is_recorded_and_nothing_else(tmp_path: Path, cache_dir: Path) -> None:
    tapes = tmp_path / "tapes"
    one = ("-m", "", "-k", "list_events--all", "--record-tapes", str(tapes), CASES)
    assert ran(tmp_path, cache_dir, "--record-mode", "missing", *one).returncode == 0
    assert list(tape.found(tapes)) == ["discovery/list_events--all"]
    at = written.read(tapes, "discovery/list_events--all").recorded.at
    assert ran(tmp_path, cache_dir, "--record-mode", "missing", *one).returncode == 0
    assert written.read(tapes, "discovery/list_events--all").recorded.at == at
    assert ran(tmp_path, cache_dir, "--record-mode", "rewrite", *one).returncode == 0
    assert written.read(tapes, "discovery/list_events--all").recorded.at > at

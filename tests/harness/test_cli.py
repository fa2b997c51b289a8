"""The rim: exit codes, envelopes, what is imported, and how long it takes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness import cli
from harness.errors import MEANINGS, Exit

ROOT = Path(__file__).parents[2]
HEAVY = {"httpx", "pydantic", "psutil", "rich.live", "rich.console", "fastmcp", "mcp", "duckdb", "subprocess32"}


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


def test_help_imports_nothing_heavy() -> None:
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "harness.cli", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines() if line.startswith("import time:")}
    assert "typer" in imported
    assert not HEAVY & imported


def test_an_unknown_option_is_an_envelope(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", "--jsom", "--json"]) == 2
    envelope = json.loads(capsys.readouterr().err)
    assert envelope["code"] == "USAGE"
    assert "--jsom" in envelope["cause"]


def test_errors_are_readable_without_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["down"]) == 7
    assert capsys.readouterr().err == "error: nothing is running [NOT_RUNNING]\n  fix: start it: harness up\n"


@pytest.mark.parametrize("words", [["down"], ["verify"], ["call", "list_events"], ["logs"]])
def test_commands_on_a_stack_that_does_not_run_exit_7(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*words, "--json"]) == 7
    assert json.loads(capsys.readouterr().err)["fix"] == "start it: harness up"


def test_elsewhere_than_on_linux_it_says_what_it_cannot_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cli.main(["status", "--json"]) == 4
    assert "darwin" in json.loads(capsys.readouterr().err)["cause"]
    assert cli.main(["up", "--help"]) == 0


def test_an_unexpected_error_leaves_a_log_without_the_secret_and_no_traceback(
    own_state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError("with s3cret in it")

    monkeypatch.setenv("MP_SECRET", "s3cret")
    monkeypatch.setattr("harness.stack.state.StateDirectory.read", broken)
    assert cli.main(["status"]) == 4
    said = capsys.readouterr().err
    assert "INTERNAL" in said
    assert "Traceback" not in said
    (log,) = (own_state / "logs").glob("crash-*.log")
    assert str(log) in said
    assert "ZeroDivisionError" in log.read_text()
    assert "s3cret" not in log.read_text()


def test_every_exit_code_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Exit)

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


def completed(words: str, tmp_path: Path, shell: str = "bash") -> set[str]:
    """What a shell is told when somebody presses Tab behind these words."""
    program = Path(sys.executable).with_name("harness")
    asked = {"_HARNESS_COMPLETE": f"complete_{shell}", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **asked}
    ran = subprocess.run([program], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    return set(ran.stdout.split())


def test_a_shell_completes_commands_services_and_options(tmp_path: Path) -> None:
    assert {"status", "settings"} <= completed("harness s", tmp_path)
    assert completed("harness up e", tmp_path) == {"emulator"}
    assert completed("harness restart c", tmp_path) == {"copilot"}
    assert "--take-port" in completed("harness up --ta", tmp_path)
    assert "free" in completed("harness ports f", tmp_path)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_there_for_each_shell(shell: str, tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("harness")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "_HARNESS_COMPLETE": f"source_{shell}"}
    ran = subprocess.run([program], env=environment, capture_output=True, text=True, check=False)
    assert "_HARNESS_COMPLETE" in ran.stdout


def test_env_is_what_a_shell_can_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["env"]) == 0
    said = capsys.readouterr().out
    shell = subprocess.run(
        ["/bin/sh", "-c", f'{said}\nprintf %s "$MIXPANEL_DATA_MCP_URL"'], capture_output=True, text=True, check=True
    )
    assert shell.stdout == "http://127.0.0.1:8200/mcp"


def test_settings_are_printed_with_their_sources(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HARNESS_MCP_PORT", "18200")
    monkeypatch.setenv("MP_SECRET", "s3cret")
    assert cli.main(["settings"]) == 0
    said = capsys.readouterr().out
    (line,) = [line for line in said.splitlines() if line.startswith("mcp.port ")]
    assert line.split(None, 1)[1] == "18200  (HARNESS_MCP_PORT)"
    assert "s3cret" not in said


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_progress_is_a_table_on_a_terminal(tmp_path: Path, variables: dict[str, str], coloured: bool) -> None:
    # The table is asked for by its own class: `up` shows it as soon as a service has to be waited for.
    code = (
        "from harness.progress import LiveWhenItTakesTime as P; p = P(); p.note('mind this');"
        "p.stage('mcp', 'waiting for tools'); p.done('mcp', 'ready'); p.close()"
    )
    import os
    import pty

    ours, theirs = pty.openpty()
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "TERM": "xterm",
        "PYTHONPATH": str(ROOT),
        **variables,
    }
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        try:
            while piece := os.read(ours, 65536):
                seen += piece
        except OSError:
            # The other end of a terminal has gone.
            process.wait()
        os.close(ours)
    text = seen.decode()
    assert process.returncode == 0
    assert "mcp" in text
    assert "✓" in text
    assert ("\x1b[32m" in text) is coloured

"""The rim: exit codes, envelopes, what is imported, and how long it takes."""

import errno
import json
import subprocess
import sys
import threading
from importlib.metadata import version
from pathlib import Path

import pytest

from harness import cli, progress
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


def test_services_that_begin_side_by_side_share_one_table(monkeypatch: pytest.MonkeyPatch) -> None:
    tables: list[object] = []
    stages: list[str] = []
    shown = progress.LiveWhenItTakesTime()
    second = threading.Thread(target=shown.stage, args=("nginx", "starting"))

    class Table:
        """Brought for the first service; while it is, the second one begins, and is given time to bring its own."""

        def __init__(self) -> None:
            tables.append(self)
            if len(tables) == 1:
                second.start()
                second.join(0.2)

        def stage(self, service: str, _text: str) -> None:
            stages.append(service)

    monkeypatch.setattr(progress, "Live", Table)
    shown.stage("emulator", "starting")
    second.join()
    assert len(tables) == 1
    assert sorted(stages) == ["emulator", "nginx"]


def run_by_a_shell(words: str, tmp_path: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """A command line as a shell runs it, `harness` and its redirections in it."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "HARNESS_STATE_DIR": "state",
    }
    return subprocess.run(
        ["/bin/sh", "-c", words],
        env={**environment, **variables},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_leads_nowhere_and_no_file_takes_its_place(closed: str, tmp_path: Path) -> None:
    said = run_by_a_shell(f"harness status {closed}; echo $? >code; harness down {closed}; echo $? >>code", tmp_path)
    assert (tmp_path / "code").read_text().split() == ["7", "7"], said
    assert (tmp_path / "state" / "lock").read_text().isdecimal(), "nothing but the pid of who held it"


def test_an_output_that_takes_nothing_is_named_and_nothing_crashes(tmp_path: Path) -> None:
    said = run_by_a_shell("harness settings >/dev/full", tmp_path)
    assert said.returncode == 1
    assert said.stderr == (
        "error: standard output cannot be written to: No space left on device [NOT_WRITTEN]\n"
        "  fix: make room there, or send it elsewhere\n"
    )
    assert run_by_a_shell("harness down 2>/dev/full", tmp_path).returncode == 7


def test_letters_that_the_terminal_lacks_are_spelled(tmp_path: Path) -> None:
    # The directory's name is in what is printed.
    (tmp_path / "Büro").mkdir()
    old = {"PYTHONIOENCODING": "ascii", "HARNESS_STATE_DIR": str(tmp_path / "Büro")}
    told = run_by_a_shell("harness doctor --only state.directory,node.version", tmp_path, **old)
    assert told.stdout.isascii()
    assert "+ node.version" in told.stdout
    assert "B\\xfcro" in told.stdout
    shown = run_by_a_shell("harness settings --json", tmp_path, **old)
    assert shown.stdout.isascii()
    assert json.loads(shown.stdout)["state_dir"] == str(tmp_path / "Büro")


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"harness version {version('mixpanel-data')}\n"


def test_an_error_of_usage_leads_to_the_help_of_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ports", "free", "99999", "--json"]) == 2
    assert json.loads(capsys.readouterr().err)["fix"] == "see harness ports free --help"
    assert cli.main(["stauts", "--json"]) == 2
    assert json.loads(capsys.readouterr().err)["fix"] == "see harness --help"


def test_a_known_issue_is_explained_by_its_id(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", "get-sse-refused", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["issues"]
    assert (found["id"], found["check"], found["count"]) == ("get-sse-refused", "mcp.sse", 0)
    assert cli.main(["explain", "get-sse-refuse", "--json"]) == 2
    assert json.loads(capsys.readouterr().err)["fix"].startswith("did you mean get-sse-refused")


def test_a_full_disk_is_told_as_such(
    own_state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("harness.stack.state.StateDirectory.lock", full)
    assert cli.main(["down", "--json"]) == 1
    told = json.loads(capsys.readouterr().err)
    assert (told["code"], told["cause"]) == ("NO_ROOM", "No space left on device: a file")
    assert str(own_state) in told["fix"]
    assert not list(own_state.rglob("crash-*"))


def test_what_begins_again_is_timed_anew(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = 100.0
    monkeypatch.setattr("harness.clock.monotonic", lambda: now)
    table = progress.Live()
    for at, step, text in [(101, table.stage, "ending"), (108, table.done, "ended"), (110, table.stage, "starting")]:
        now = float(at)
        step("mcp", text)
    now = 113.0
    table.done("mcp", "ready")
    table.close()
    assert capsys.readouterr().err.split()[-2:] == ["3.0", "s"]

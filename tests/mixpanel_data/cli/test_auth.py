"""`mp auth`: accounts come, go and are shown, and their secrets are seen nowhere."""

from __future__ import annotations

import io
import json
import os
import pty
import stat
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from mixpanel_data.auth import ConfigManager
from tests.mixpanel_data.cli.conftest import Mp, mp_process
from tests.support.emulator import Emulator

SECRET = "canary-of-auth"


@pytest.fixture
def secret(environment: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The secret where a script would put it."""
    environment.setenv("MP_SECRET", SECRET)
    return environment


@pytest.fixture
def two(secret: pytest.MonkeyPatch, mp: Mp) -> Path:
    """A configuration file with two accounts, `home` being the default."""
    for name in ("home", "work"):
        assert mp("auth", "add", name, "-u", f"{name}-robot", "-p", "42", "-r", "eu").code == 0
    secret.delenv("MP_SECRET")
    return ConfigManager().config_path


def test_an_account_is_added_and_the_first_one_is_the_default(secret: pytest.MonkeyPatch, mp: Mp) -> None:
    ran = mp("auth", "add", "home", "--username", "robot", "--project", "42", "--region", "in")
    assert (ran.code, json.loads(ran.out), ran.err) == (0, {"added": "home", "is_default": True}, "")
    ran = mp("auth", "add", "work", "-u", "robot", "-p", "43")
    assert json.loads(ran.out) == {"added": "work", "is_default": False}
    ran = mp("auth", "add", "lab", "-u", "robot", "-p", "44", "-d")
    assert json.loads(ran.out) == {"added": "lab", "is_default": True}
    file = ConfigManager().config_path
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    written = tomllib.loads(file.read_text())
    assert written["default"] == "lab"
    assert written["accounts"]["home"] == {"username": "robot", "secret": SECRET, "project_id": "42", "region": "in"}
    assert written["accounts"]["work"]["region"] == "us"


def test_the_secret_comes_from_stdin_where_that_is_said(
    secret: pytest.MonkeyPatch, mp: Mp, environment: pytest.MonkeyPatch
) -> None:
    environment.setattr("sys.stdin", io.StringIO("from-the-pipe\nanother line\n"))
    assert mp("auth", "add", "home", "-u", "robot", "-p", "42", "--secret-stdin").code == 0
    assert ConfigManager().resolve_credentials("home").secret.get_secret_value() == "from-the-pipe"


@pytest.mark.parametrize("words", [("--secret", "x"), ("-s", "x"), ("--password", "x")])
def test_the_secret_is_never_an_option(mp: Mp, words: tuple[str, ...]) -> None:
    assert mp("auth", "add", "home", "-u", "robot", "-p", "42", *words).code == 2


@pytest.mark.parametrize("words", [(), ("--secret-stdin",), ("--interactive",)])
def test_without_a_terminal_nobody_waits_for_a_secret(words: tuple[str, ...]) -> None:
    ran = mp_process("auth", "add", "home", "-u", "robot", "-p", "42", *words)
    assert (ran.returncode, ran.stdout) == (3, "")
    assert "  fix: " in ran.stderr
    assert ConfigManager().list_accounts() == []


@pytest.mark.parametrize(
    ("words", "named"),
    [(("-u", "robot"), "--project"), (("-p", "42"), "--username"), (("-u", "a", "-p", "x"), "project")],
)
def test_what_is_missing_or_wrong_is_named(
    secret: pytest.MonkeyPatch, mp: Mp, words: tuple[str, ...], named: str
) -> None:
    ran = mp("auth", "add", "home", *words)
    assert (ran.code, ran.out) == (3, "")
    assert named in ran.err
    assert SECRET not in ran.err


def test_a_wrong_region_is_3_and_a_name_that_is_taken_1(secret: pytest.MonkeyPatch, mp: Mp) -> None:
    assert mp("auth", "add", "home", "-u", "robot", "-p", "42", "-r", "mars").code == 3
    assert mp("auth", "add", "home", "-u", "robot", "-p", "42").code == 0
    ran = mp("auth", "add", "home", "-u", "other", "-p", "42")
    assert (ran.code, ran.out) == (1, "")
    assert "mp auth remove" in ran.err


def test_accounts_are_listed_without_their_secrets(two: Path, mp: Mp) -> None:
    listed = json.loads(mp("auth", "list").out)
    assert [(each["name"], each["is_default"]) for each in listed] == [("home", True), ("work", False)]
    assert listed[1] == {
        "name": "work", "username": "work-robot", "project_id": "42", "region": "eu", "is_default": False,
    }  # fmt: skip
    assert mp("auth", "list", "-f", "plain").out == "home\nwork\n"
    assert mp("auth", "list", "-f", "csv").out.splitlines()[0] == "name,username,project_id,region,is_default"


def test_no_accounts_are_an_empty_list(mp: Mp) -> None:
    assert mp("auth", "list") == (0, "[]\n", "")
    assert mp("auth", "list", "-f", "csv").out == "value\n"


def test_an_account_is_shown_with_its_secret_masked(two: Path, mp: Mp) -> None:
    for words in (("auth", "show", "work"), ("-a", "work", "auth", "show")):
        ran = mp(*words)
        assert SECRET not in ran.out + ran.err
        shown = json.loads(ran.out)
        assert (shown["name"], shown["username"], shown["is_default"]) == ("work", "work-robot", False)
        assert shown["secret"] == "********"
    assert json.loads(mp("auth", "show").out)["name"] == "home"


def test_what_applies_is_shown_also_when_it_is_the_environment(
    two: Path, mp: Mp, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("MP_ACCOUNT", "work")
    assert json.loads(mp("auth", "show").out)["name"] == "work"
    for name, value in {"USERNAME": "env-robot", "SECRET": SECRET, "PROJECT_ID": "7", "REGION": "us"}.items():
        environment.setenv(f"MP_{name}", value)
    ran = mp("auth", "show")
    assert SECRET not in ran.out + ran.err
    shown = json.loads(ran.out)
    assert (shown["name"], shown["username"], shown["project_id"]) == (None, "env-robot", "7")
    assert shown["secret"] == "********"


def test_nothing_to_show_is_1_and_an_unknown_account_4(two: Path, mp: Mp) -> None:
    for words in (("show", "lab"), ("switch", "lab"), ("remove", "lab"), ("remove", "lab", "--force"), ("test", "lab")):
        ran = mp("auth", *words)
        assert (ran.code, ran.out) == (4, "")
        assert "home, work" in ran.err
    two.unlink()
    assert mp("auth", "show").code == 1


def test_the_default_is_switched(two: Path, mp: Mp) -> None:
    assert json.loads(mp("auth", "switch", "work").out) == {"default": "work"}
    assert [each.is_default for each in ConfigManager().list_accounts()] == [False, True]


def test_an_account_is_removed_by_force_and_the_next_one_is_the_default(two: Path, mp: Mp) -> None:
    assert json.loads(mp("auth", "remove", "home", "--force").out) == {"removed": "home"}
    assert [(each.name, each.is_default) for each in ConfigManager().list_accounts()] == [("work", True)]


def test_without_a_terminal_nothing_is_removed_and_the_way_is_told(two: Path) -> None:
    ran = mp_process("auth", "remove", "home", stdin="y\n")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "mp auth remove home --force" in ran.stderr
    assert len(ConfigManager().list_accounts()) == 2


@pytest.mark.parametrize(("answer", "code", "left"), [("YES", 0, 1), ("", 2, 2), ("x", 2, 2)])
def test_on_a_terminal_only_a_yes_removes(two: Path, answer: str, code: int, left: int) -> None:
    ran = on_terminal("auth", "remove", "home", typed=[answer])
    assert ran.returncode == code
    assert "[y/N]" in ran.stderr
    assert ran.stdout == ('{\n  "removed": "home"\n}\n' if code == 0 else "")
    assert len(ConfigManager().list_accounts()) == left


def test_on_a_terminal_everything_can_be_asked_for_and_the_secret_is_not_echoed() -> None:
    ran = on_terminal("auth", "add", "home", "-i", typed=["robot", "42", "eu", SECRET])
    assert json.loads(ran.stdout) == {"added": "home", "is_default": True}
    assert SECRET not in ran.stderr
    added = ConfigManager().resolve_credentials("home")
    assert (added.username, added.project_id, added.region) == ("robot", "42", "eu")
    assert added.secret.get_secret_value() == SECRET


def test_an_account_of_the_file_is_tested(
    emulator: Emulator, environment: pytest.MonkeyPatch, secret: pytest.MonkeyPatch, mp: Mp
) -> None:
    told = emulator.environment
    environment.setenv("MP_API_BASE_URL", emulator.url)
    environment.setenv("MP_SECRET", told["MP_SECRET"])
    assert mp("auth", "add", "good", "-u", told["MP_USERNAME"], "-p", told["MP_PROJECT_ID"]).code == 0
    environment.setenv("MP_SECRET", SECRET)
    assert mp("auth", "add", "bad", "-u", told["MP_USERNAME"], "-p", told["MP_PROJECT_ID"]).code == 0
    environment.delenv("MP_SECRET")
    for words in (("auth", "test", "good"), ("-a", "good", "auth", "test"), ("auth", "test")):
        ran = mp(*words)
        assert (ran.code, json.loads(ran.out)["account"]) == (0, "good")
    ran = mp("--verbose", "auth", "test", "bad")
    assert (ran.code, ran.out) == (2, "")
    assert SECRET not in ran.err


def on_terminal(*words: str, typed: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """`mp` with a person at its keyboard, who types the next line whenever a prompt is there."""
    person, keyboard = pty.openpty()
    # A session of its own makes the keyboard the terminal that getpass opens.
    program = (
        "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
        "os.execv(sys.executable, [sys.executable, '-m', 'mixpanel_data.cli.app', *sys.argv[1:]])"
    )
    command = [sys.executable, "-c", program, *words]
    with subprocess.Popen(command, stdin=keyboard, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        said = b""
        for line in typed:
            while chunk := os.read(process.stderr.fileno(), 4096):
                said += chunk
                if chunk.endswith((b": ", b"] ")):
                    break
            os.write(person, line.encode() + b"\n")
        out, err = process.communicate(timeout=60)
    os.close(person)
    os.close(keyboard)
    return subprocess.CompletedProcess(command, process.returncode, out.decode(), (said + err).decode())

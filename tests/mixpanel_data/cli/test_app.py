"""`mp` as a whole: its exit codes, what it says when something goes wrong, pipes, signals, and who sees what."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping

import pytest

from mixpanel_data import Workspace, __version__, clock, errors
from mixpanel_data.cli import terminal
from mixpanel_data.cli.app import EXIT_CODES, FIXES, GROUPS, exit_code
from mixpanel_data.cli.command import painted
from tests.mixpanel_data.cli.conftest import FIRST, LAST, Mp, mp_process
from tests.mixpanel_data.test_errors import EVERY
from tests.support.emulator import Emulator
from tests.support.scripted_http import Reply, ScriptedServer

SECRET = "canary-of-app"
ESCAPES = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")


@pytest.fixture
def scripted(server: ScriptedServer, environment: pytest.MonkeyPatch) -> ScriptedServer:
    """A server that says what it is told to, and an environment that points at it."""
    told = {"USERNAME": "robot", "SECRET": SECRET, "PROJECT_ID": "42", "REGION": "us", "API_BASE_URL": server.url}
    for name, value in told.items():
        environment.setenv(f"MP_{name}", value)
    environment.setenv("MP_RATE_LIMITS", "off")
    environment.setattr(clock, "sleep", lambda *_: None)
    return server


def test_the_version_is_that_of_the_library() -> None:
    ran = mp_process("--version")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"mp version {__version__}\n", "")


def test_help_names_every_group_and_a_groups_help_every_command(mp: Mp) -> None:
    ran = mp("--help")
    assert (ran.code, ran.err) == (0, "")
    for name, (summary, _) in GROUPS.items():
        assert re.search(rf"^  {name} +{re.escape(summary)}$", ran.out, re.MULTILINE)
        inner = mp(name, "--help")
        assert (inner.code, inner.err) == (0, "")
        assert "..." not in inner.out.replace("[ARGS]...", ""), "a summary that is too long for its line"


def test_nothing_to_do_shows_what_could_be_done_and_is_2(mp: Mp) -> None:
    for words in ((), ("query",)):
        ran = mp(*words)
        assert (ran.code, ran.out) == (2, "")
        assert "Commands:" in ran.err


def test_auth_test_prints_what_the_library_says(emulator: Emulator) -> None:
    ran = mp_process("auth", "test", "--format", "json", env=emulator.environment)
    told = json.loads(ran.stdout)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert told["success"] is True
    assert told["project_id"] == emulator.environment["MP_PROJECT_ID"]
    assert told["events_found"] > 5


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(401, b'{"error": "Invalid credentials"}'), 2),
        (Reply(400, b'{"error": "Unable to authenticate request"}'), 2),
        (Reply(400, b'{"error": "Error in type canary-of-app"}'), 3),
        (Reply(412, b'{"error": "SyntaxError: x"}'), 3),
        (Reply(404, b'{"error": "Not found"}'), 3),
        (Reply(429, b'{"error": "Query rate limit exceeded"}', {"Retry-After": "0"}), 5),
        (Reply(302, b"", {"Location": "http://127.0.0.1:1/"}), 1),
    ],
    ids=lambda value: str(getattr(value, "status", value)),
)
def test_each_refusal_has_its_exit_code(scripted: ScriptedServer, mp: Mp, reply: Reply, code: int) -> None:
    scripted.say(reply)
    ran = mp("--verbose", "inspect", "events")
    assert (ran.code, ran.out) == (code, "")
    assert "error: " in ran.err
    assert "  fix: " in ran.err
    assert "Traceback" not in ran.err
    assert SECRET not in ran.err


def test_an_unknown_event_is_4_and_similar_ones_are_named(scripted: ScriptedServer, mp: Mp) -> None:
    scripted.say(Reply(400, b'{"error": "no such event"}'), Reply(200, b'["App Open", "Search"]'))
    ran = mp("inspect", "properties", "-e", "app open")
    assert (ran.code, ran.out) == (4, "")
    assert "App Open" in ran.err


def test_nothing_configured_and_an_unknown_account_have_theirs(mp: Mp) -> None:
    ran = mp_process("auth", "test")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "MP_USERNAME" in ran.stderr
    unknown = mp("auth", "test", "nobody")
    assert (unknown.code, unknown.out) == (4, "")
    assert "nobody" in unknown.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("auth", "test", "--format", "yaml"), "'yaml' is not one of"),
        (("nonsense",), "No such command 'nonsense'"),
        (("--nonsense",), "--nonsense"),
        (("quer",), "Did you mean 'query'?"),
        (("query", "segmentation", "--from", FIRST), "--event"),
        (("query", "funnel", "seven", "--from", FIRST, "--to", LAST), "FUNNEL_ID"),
        (("query", "segmentation", "-e"), "'-e'"),
    ],
)
def test_a_wrong_command_line_is_2_and_says_where_to_look(mp: Mp, words: tuple[str, ...], said: str) -> None:
    ran = mp(*words)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert re.search(r"  fix: see mp.* --help\n", ran.err)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("segmentation", "-e", "x", "--from", "2025-02-30", "--to", LAST), "from_date"),
        (("segmentation", "-e", "x", "--from", LAST, "--to", FIRST), "swap"),
        (("segmentation", "-e", "x", "--from", FIRST, "--to", LAST, "-u", "eon"), "minute, hour, day, week, month"),
        (("event-counts", "-e", "x", "--from", FIRST, "--to", LAST, "-t", "most"), "general, unique, average"),
        (("event-counts", "-e", "a,,b", "--from", FIRST, "--to", LAST), "--events"),
        (("segmentation", "-e", "x", "--from", FIRST, "--to", LAST, "--jq", ".["), "does not compile"),
        (("segmentation", "-e", "x", "--from", FIRST, "--to", LAST, "--jq", ".", "-f", "csv"), "json or jsonl"),
        (("jql",), "neither is given"),
        (("jql", "script.js", "-c", "x"), "both are given"),
        (("jql", "-c", "x", "-P", "novalue"), "KEY=VALUE"),
        (("sql",), "neither is given"),
    ],
)
def test_a_wrong_argument_is_3_before_anything_is_asked(
    scripted: ScriptedServer, mp: Mp, words: tuple[str, ...], said: str
) -> None:
    ran = mp("query", *words)
    assert (ran.code, ran.out) == (3, "")
    assert said in ran.err
    assert scripted.received == []


def test_a_file_that_is_not_there_is_4(scripted: ScriptedServer, mp: Mp) -> None:
    for words in (("jql", "nowhere.js"), ("sql", "-F", "nowhere.sql")):
        ran = mp("query", *words)
        assert (ran.code, ran.out) == (4, "")
        assert "nowhere" in ran.err


@pytest.mark.parametrize("error", EVERY, ids=lambda error: type(error).__name__)
def test_every_error_has_an_exit_code(error: errors.MixpanelDataError) -> None:
    assert exit_code(error) in {1, 2, 3, 4, 5}
    assert exit_code(errors.InvalidArgumentError("a", "b", fix="c")) == 3


def test_no_exit_code_is_hidden_behind_an_earlier_one() -> None:
    for place, (kind, _) in enumerate(EXIT_CODES):
        assert not any(issubclass(kind, earlier) for earlier, _ in EXIT_CODES[:place])


@pytest.mark.parametrize(("kind", "fix"), FIXES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_a_fix_for_the_command_line_names_what_the_command_line_has(mp: Mp, kind: type, fix: str) -> None:
    fetch = mp("fetch", "events", "--help").out
    assert [option for option in re.findall(r"--[\w-]+", fix) if option not in fetch] == []
    for group, command in re.findall(r"mp (\w+) ([\w-]+)", fix):
        assert mp(group, command, "--help").code == 0


def test_verbose_adds_all_of_the_error_as_json(scripted: ScriptedServer, mp: Mp) -> None:
    scripted.say(Reply(400, b'{"error": "Error in type"}'))
    assert "{" not in mp("inspect", "events").err
    text = mp("--verbose", "inspect", "events").err
    told = json.loads(text[text.index("{") :])
    assert (told["code"], told["details"]["status_code"]) == ("QUERY_FAILED", 400)


def test_a_wait_is_said_and_quiet_is_quiet(scripted: ScriptedServer, mp: Mp) -> None:
    refused = Reply(429, b'{"error": "slow down"}', {"Retry-After": "0"})
    scripted.say(refused, Reply(200, b'["a"]'))
    ran = mp("inspect", "events")
    assert (ran.code, json.loads(ran.out)) == (0, ["a"])
    assert "waiting" in ran.err
    scripted.say(refused, Reply(200, b'["a"]'))
    assert mp("--quiet", "inspect", "events") == (0, '[\n  "a"\n]\n', "")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (RuntimeError("odd"), 1, "mp itself failed: RuntimeError: odd"),
        (ValueError("odd"), 3, "ValueError: odd"),
        (PermissionError(13, "Permission denied", "/x/y"), 1, "Permission denied: /x/y"),
        (BrokenPipeError(32, "Broken pipe"), 1, "Broken pipe"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (RuntimeError("Query interrupted"), 130, "interrupted"),
    ],
)
def test_what_nobody_expected_is_told_without_a_traceback(
    scripted: ScriptedServer, environment: pytest.MonkeyPatch, mp: Mp, error: BaseException, code: int, said: str
) -> None:
    def fail(_: Workspace) -> None:
        raise error

    environment.setattr(Workspace, "events", fail)
    ran = mp("inspect", "events")
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err
    assert "Traceback" not in ran.err


def test_who_interrupts_a_fetch_is_told_how_to_go_on(
    scripted: ScriptedServer, environment: pytest.MonkeyPatch, mp: Mp
) -> None:
    def end(_: Workspace) -> None:
        error = KeyboardInterrupt()
        error.add_note("two pieces are stored; the same call again asks for the rest")
        raise error

    environment.setattr(Workspace, "events", end)
    ran = mp("inspect", "events")
    assert ran == (130, "", "interrupted\ntwo pieces are stored; the same call again asks for the rest\n")


def test_who_reads_no_further_ends_it_quietly(scripted: ScriptedServer) -> None:
    scripted.say(Reply(200, json.dumps([f"event {number}" for number in range(50_000)]).encode()))
    with subprocess.Popen(
        [sys.executable, "-m", "mixpanel_data.cli.app", "inspect", "events", "-f", "plain"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"event 0\n"
        process.stdout.close()
        assert process.wait(60) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_who_reads_no_help_ends_it_quietly() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ran = subprocess.run(
        [sys.executable, "-m", "mixpanel_data.cli.app", "--help"], stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (ran.returncode, ran.stderr) == (0, b"")


def test_without_a_stdout_there_is_an_error_and_no_traceback() -> None:
    ran = subprocess.run(
        ["/bin/sh", "-c", f"exec {sys.executable} -m mixpanel_data.cli.app auth list >&-"],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr.splitlines()[0]) == (1, "error: stdout is closed")


@pytest.mark.parametrize("words", [("--version",), ("--help",), ("auth", "list")])
def test_a_full_disk_is_an_error_and_said_once(words: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123 -- a device
        ran = subprocess.run(
            [sys.executable, "-m", "mixpanel_data.cli.app", *words], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert ran.returncode == 1
    assert ran.stderr.decode().count("\n") == 2
    assert "No space left" in ran.stderr.decode()


def test_a_full_disk_does_not_hide_the_error_that_came_first(on_emulator: pytest.MonkeyPatch, mp: Mp) -> None:
    asked = ("fetch", "events", "--from", FIRST, "--to", LAST, "--stdout", "--jq")
    first = mp(*asked, ".insert_id").out.splitlines()[0]
    failing = (*asked, f'if .insert_id == {first} then . else error("odd") end')
    with open("/dev/full", "w") as full:  # noqa: PTH123 -- a device
        ran = subprocess.run(
            [sys.executable, "-m", "mixpanel_data.cli.app", *failing], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert ran.returncode == 3
    assert b"odd" in ran.stderr
    assert b"Exception ignored" not in ran.stderr


def test_ctrl_c_is_130_without_a_traceback(scripted: ScriptedServer) -> None:
    scripted.say(Reply(200, b"[", missing=10, stalls_s=60))
    with subprocess.Popen(
        [sys.executable, "-m", "mixpanel_data.cli.app", "inspect", "events"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        while not scripted.received:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, b"")
    assert b"Traceback" not in err


def test_data_is_utf_8_whatever_the_locale(scripted: ScriptedServer) -> None:
    scripted.say(Reply(200, '["naïve 東京", "\\ud800"]'.encode()))
    ran = mp_process("inspect", "events", "-f", "plain", env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "naïve 東京\n\\ud800\n", "")


@pytest.mark.parametrize("form", ["table", "csv", "plain"])
def test_no_escape_sequence_of_the_data_reaches_a_terminal(scripted: ScriptedServer, form: str) -> None:
    hostile = "\x1b[2J\x1b]0;owned\x07\x9b31mred\u202e"
    scripted.say(Reply(200, json.dumps([hostile]).encode()))
    seen = shown_on_terminal("inspect", "events", "-f", form).replace("\r\n", "\n")
    assert "owned" in seen
    assert not ESCAPES.search(seen)


def test_no_escape_sequence_of_the_service_reaches_a_terminal_with_an_error(scripted: ScriptedServer, mp: Mp) -> None:
    scripted.say(Reply(400, json.dumps({"error": "\x1b[2Jgone\x9b"}).encode()))
    ran = mp("--verbose", "inspect", "events")
    assert "gone" in ran.err
    assert not ESCAPES.search(ran.err)


def test_help_has_colours_on_a_terminal_only_and_not_where_they_are_unwanted() -> None:
    assert "\x1b[1mUsage:\x1b[0m mp" in shown_on_terminal("--help")
    assert "\x1b" not in mp_process("--help").stdout
    for unwanted in ({"NO_COLOR": "1"}, {"MP_PLAIN": "1"}):
        assert "\x1b" not in shown_on_terminal("--help", env=unwanted)


def test_painting_changes_nothing_but_colours(mp: Mp) -> None:
    for words in (("--help",), ("query", "--help"), ("fetch", "events", "--help")):
        page = mp(*words).out.rstrip("\n")
        assert re.sub("\x1b\\[\\d*m", "", painted(page)) == page
        assert painted(page).count("\x1b[36m") >= len(re.findall(r"^  -", page, re.MULTILINE))


def test_no_account_of_the_environment_is_preferred_to_one_that_is_named(
    scripted: ScriptedServer, environment: pytest.MonkeyPatch, mp: Mp
) -> None:
    assert mp("auth", "add", "home", "-u", "named", "-p", "77").code == 0
    scripted.say(Reply(200, b"[]"))
    for words in ((), ("-a", "home"), ("--account", "home")):
        assert mp(*words, "inspect", "events").code == 0
    assert [each.parameters["project_id"] for each in scripted.received] == ["42", "77", "77"]


def test_nothing_is_visible_that_is_not_meant_to_be() -> None:
    assert terminal.visible("a\tb\nc", keep="\n") == "a\\tb\nc"


def shown_on_terminal(*words: str, env: Mapping[str, str] | None = None) -> str:
    """What `mp` writes to a terminal."""
    screen, program = pty.openpty()
    command = [sys.executable, "-m", "mixpanel_data.cli.app", *words]
    variables = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "MP_PLAIN"}}
    with subprocess.Popen(command, stdout=program, env={**variables, "TERM": "xterm", **(env or {})}) as process:
        os.close(program)
        seen = b""
        try:
            while chunk := os.read(screen, 65536):
                seen += chunk
        except OSError:
            pass  # so a terminal says that its last writer has gone
        process.wait(60)
    os.close(screen)
    return seen.decode()

"""`mp`, through its real entry point in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping

import pytest

from mixpanel_data import __version__, errors
from mixpanel_data.cli.app import EXIT_CODES, exit_code
from tests.mixpanel_data.test_errors import EVERY
from tests.support.emulator import Emulator
from tests.support.scripted_http import Reply, ScriptedServer


def mp(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mixpanel_data.cli.app", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **(env or {})},
        check=False,
    )


def credentials_for(url: str) -> dict[str, str]:
    return {
        "MP_USERNAME": "robot",
        "MP_SECRET": "canary",
        "MP_PROJECT_ID": "42",
        "MP_REGION": "us",
        "MP_API_BASE_URL": url,
    }


def test_the_version_is_that_of_the_library() -> None:
    ran = mp("--version")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"mp version {__version__}\n", "")


def test_auth_test_prints_what_the_library_says(emulator: Emulator) -> None:
    ran = mp("auth", "test", "--format", "json", env=emulator.environment)
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
        (Reply(400, b'{"error": "Error in type"}'), 3),
        (Reply(429, b'{"error": "Query rate limit exceeded"}', {"Retry-After": "9"}), 5),
        (Reply(500, b""), 1),
    ],
)
def test_each_refusal_has_its_exit_code(server: ScriptedServer, reply: Reply, code: int) -> None:
    server.say(reply)
    ran = mp("auth", "test", env=credentials_for(server.url))
    assert (ran.returncode, ran.stdout) == (code, "")
    assert "error: " in ran.stderr
    assert "  fix: " in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "canary" not in ran.stderr


def test_nothing_configured_and_an_unknown_account_have_theirs() -> None:
    ran = mp("auth", "test")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "MP_USERNAME" in ran.stderr
    ran = mp("auth", "test", "nobody")
    assert (ran.returncode, ran.stdout) == (4, "")
    assert "nobody" in ran.stderr


@pytest.mark.parametrize("arguments", [("auth", "test", "--format", "yaml"), ("nonsense",), ("--nonsense",)])
def test_a_wrong_command_line_is_two(arguments: tuple[str, ...]) -> None:
    ran = mp(*arguments)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("error", EVERY, ids=lambda error: type(error).__name__)
def test_every_error_has_an_exit_code(error: errors.MixpanelDataError) -> None:
    assert exit_code(error) in {1, 2, 3, 4, 5}
    assert exit_code(errors.InvalidArgumentError("a", "b", fix="c")) == 3


def test_no_exit_code_is_hidden_behind_an_earlier_one() -> None:
    for place, (kind, _) in enumerate(EXIT_CODES):
        assert not any(issubclass(kind, earlier) for earlier, _ in EXIT_CODES[:place])

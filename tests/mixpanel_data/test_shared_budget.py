"""One budget for several processes, in a real Redis (Debian's package redis-server) on a socket of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from mixpanel_data import ConfigError, Credentials
from mixpanel_data.budget import Usage, Window, shared
from mixpanel_data.windows import Windows
from tests.support.scripted_http import Reply, ScriptedServer

LIMITS = "query=60/hour"
PASSWORD = "canary-redis"

ASK = """
import json, sys
from mixpanel_data import MixpanelAPIClient, RateLimitError, Workspace
with Workspace() as workspace:
    print("ready", flush=True)
    sys.stdin.readline()
    sent, refusal = 0, None
    while refusal is None:
        try:
            workspace.api.request("GET", "https://mixpanel.com/api/2.0/events/names")
            sent += 1
        except RateLimitError as error:
            refusal = [error.details["sent"], error.retry_after, str(error)]
    print(json.dumps([sent, *refusal]))
"""


@pytest.fixture(scope="module")
def redis() -> Iterator[SecretStr]:
    """The URL of a Redis that keeps nothing on disk."""
    program = shutil.which("redis-server")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("there is no redis-server; run: apt-get install redis-server")
        pytest.skip("there is no redis-server: what is shared by Redis goes untried")
    # A socket's path is at most some hundred characters long.
    with tempfile.TemporaryDirectory(prefix="redis-") as home:
        socket = Path(home) / "socket"
        settings = f"port 0\nunixsocket {socket}\nsave ''\nappendonly no\nrequirepass {PASSWORD}\ndir {home}\n"
        with (Path(home) / "log").open("wb") as log:
            process = subprocess.Popen([program, "-"], stdin=subprocess.PIPE, stdout=log, stderr=log)
        try:
            assert process.stdin is not None
            process.stdin.write(settings.encode())
            process.stdin.close()
            deadline = time.monotonic() + 30
            while not socket.exists():
                assert process.poll() is None, (Path(home) / "log").read_text()
                assert time.monotonic() < deadline, "redis-server does not come up"
                time.sleep(0.02)
            yield SecretStr(f"redis+unix://:{PASSWORD}@{socket}")
        finally:
            process.terminate()
            process.wait(30)


def test_the_61st_call_of_two_processes_is_not_sent(
    redis: SecretStr, server: ScriptedServer, credentials: Credentials
) -> None:
    server.say(Reply(200, b'["App Open"]'))
    told = {
        "MP_USERNAME": credentials.username,
        "MP_SECRET": credentials.secret.get_secret_value(),
        "MP_PROJECT_ID": credentials.project_id,
        "MP_REGION": credentials.region,
        "MP_API_BASE_URL": server.url,
        "MP_RATE_LIMITS": LIMITS,
        "MP_REDIS_URL": redis.get_secret_value(),
    }
    askers = [
        subprocess.Popen(
            [sys.executable, "-c", ASK], env={**os.environ, **told}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    try:
        for asker in askers:
            assert asker.stdout is not None
            assert asker.stdout.readline() == "ready\n", asker.communicate()
        heard = [asker.communicate("go\n", timeout=60) for asker in askers]
    finally:
        for asker in askers:
            asker.kill()
            asker.wait(30)
    for (out, errors), asker in zip(heard, askers, strict=True):
        assert asker.returncode == 0, errors
        _, was_sent, retry_after, text = json.loads(out)
        assert (was_sent, 3500 < retry_after <= 3601) == (False, True)
        assert "60 of 60 in the last hour" in text
        assert PASSWORD not in out + errors
    assert sum(json.loads(out)[0] for out, _ in heard) == 60
    assert len(server.received) == 60


def test_another_project_has_a_budget_of_its_own_there(redis: SecretStr) -> None:
    one, other = (shared(f"redis.example/{number}", "query=3/hour", redis) for number in (1, 2))
    assert one.used("query") == other.used("query") == Usage(0, 3, 3600)
    windows = Windows(redis)
    assert [windows.take("redis.example/1/query", Window(3, 3600)) for _ in range(4)] == [True, True, True, False]
    assert one.used("query") == Usage(3, 3, 3600)
    assert one.wait_s("query") == pytest.approx(3600, abs=60)
    assert (other.used("query"), other.wait_s("query")) == (Usage(0, 3, 3600), 0.0)


def test_a_short_window_of_it_ends(redis: SecretStr) -> None:
    windows, window = Windows(redis), Window(1, 1)
    assert windows.take("redis.example/short", window)
    assert not windows.take("redis.example/short", window)
    deadline = time.monotonic() + 30
    while not windows.take("redis.example/short", window):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_redis_that_does_not_know_us_is_told_apart(redis: SecretStr) -> None:
    wrong = SecretStr(redis.get_secret_value().replace(PASSWORD, "canary-wrong"))
    with pytest.raises(ConfigError, match="AuthenticationError") as caught:
        shared("redis.example/3", LIMITS, wrong).used("query")
    assert "canary" not in str(caught.value.to_dict())

"""A canary in the place of the secret: it is in the Authorization header and nowhere else, whatever goes wrong."""

from __future__ import annotations

import base64
import html
import io
import json
import logging
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from pydantic import SecretStr

from mixpanel_data import Credentials, MixpanelAPIClient, MixpanelDataError, Workspace
from mixpanel_data.auth import ConfigManager
from mixpanel_data.budget import Budget, parse
from mixpanel_data.endpoints import ENDPOINTS
from tests.mixpanel_data.test_budget import spend
from tests.support.ports import free_port
from tests.support.scripted_http import HANG_UP, Reply, ScriptedServer
from tests.support.virtual_clock import VirtualClock

# It changes under every way of writing it down.
CANARY = 'canary/"sécret"+&<51'
USERNAME = "robot.0a1b2c.mp-service-account"
BASIC = base64.b64encode(f"{USERNAME}:{CANARY}".encode()).decode()
FORMS = [CANARY, quote(CANARY, safe=""), quote_plus(CANARY), BASIC, quote(BASIC, safe=""), json.dumps(CANARY),
         json.dumps(CANARY, ensure_ascii=False), html.escape(CANARY)]  # fmt: skip
ECHO = " and ".join(f"you sent {form} here" for form in FORMS)
NAMES, EXPORT, JQL = ENDPOINTS["event_names"], ENDPOINTS["export"], ENDPOINTS["jql"]
PACKED = {"Content-Encoding": "gzip"}


@pytest.fixture(autouse=True)
def every_log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that any logger says is kept, and nothing is waited for."""
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "mixpanel_data"):
        caplog.set_level(logging.DEBUG, name)
    VirtualClock(monkeypatch)


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[MixpanelAPIClient]:
    with MixpanelAPIClient(secret_credentials(), base_url=server.url, timeout=10, rate_limits="off") as made:
        yield made


def secret_credentials() -> Credentials:
    return Credentials.model_validate(
        {"username": USERNAME, "secret": CANARY, "project_id": 4100200, "region": "us", "account": "work"}
    )


def everything(error: BaseException, *, frames: bool) -> str:
    """All that an error and those behind it can be made to say; with `frames`, what those that it crossed hold."""
    told, seen, left = list[str](), set[int](), [error]
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        told += [str(one), repr(one), repr(one.args), repr(vars(one))]
        if isinstance(one, MixpanelDataError):
            told.append(json.dumps(one.to_dict(), ensure_ascii=False))
        told += traceback.format_exception(one)
        if frames:
            stack = traceback.TracebackException.from_exception(one, capture_locals=True).stack
            told += [repr(frame.locals) for frame in stack if not frame.filename.startswith(str(Path(__file__).parent))]
        left += [behind for behind in (one.__cause__, one.__context__) if behind is not None]
    return "\n".join(told)


def said(error: MixpanelDataError) -> str:
    """What an error says of itself, and the traceback that is printed."""
    told = [str(error), repr(error), repr(error.args), repr(vars(error)), json.dumps(error.to_dict())]
    # The lines of a traceback that quote a source file are that file's.
    return "".join(told + [line for line in traceback.format_exception(error) if "File " not in line])


def assert_silent(text: str, what: str = "") -> None:
    for part in ("canary", BASIC, BASIC[-16:], quote(BASIC, safe="")):
        assert part not in text, f"{what}: {text[max(0, text.find(part) - 200) :][:400]}"


ANSWERS = {
    **{f"status {status}": Reply(status, ECHO.encode()) for status in (302, 400, 401, 402, 403, 404, 412, 422, 500)},
    "as json": Reply(400, json.dumps({"request": f"/x?secret={quote(CANARY)}", "error": ECHO}).encode()),
    "as json text": Reply(403, json.dumps({"error": ECHO}, ensure_ascii=False).encode()),
    "as another shape": Reply(404, json.dumps({"message": {"deep": [ECHO]}}).encode()),
    "as a page": Reply(500, f"<title>{CANARY} {html.escape(CANARY)} {BASIC}</title>".encode()),
    "as a script's error": Reply(412, json.dumps({"error": f"TypeError: {ECHO}\n  {CANARY}\n  ^"}).encode()),
    "at the end of what is read": Reply(400, b"x" * (64 * 1024 - 7) + ECHO.encode() * 3),
    "rate limit": Reply(429, ECHO.encode(), {"Retry-After": "9999"}),
    "rate limit, tried again": Reply(429, ECHO.encode()),
    "away": Reply(503, ECHO.encode()),
    "error inside a 200": Reply(200, json.dumps({"error": ECHO}).encode()),
    "not json": Reply(200, ECHO.encode()),
    "no answer": Reply(HANG_UP),
    "cut": Reply(200, ECHO.encode(), missing=9),
    "another encoding": Reply(200, ECHO.encode(), {"Content-Encoding": "br"}),
    "not gzip": Reply(200, ECHO.encode(), PACKED),
}
Call = Callable[[MixpanelAPIClient, str], object]
CALLS: dict[str, Call] = {
    "call": lambda client, _url: client.call(NAMES, {"type": "general"}),
    "form": lambda client, _url: client.call(JQL, {"script": "main()", "params": {"a": 1}}),
    "download": lambda client, _url: client.download(EXPORT, {"where": "a"}, io.BytesIO()),
    "request": lambda client, url: client.request("GET", f"{url}/api/app/me", params={"a": 1}),
    "request with a body": lambda client, url: client.request("POST", f"{url}/import", json_body={"a": [1]}),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_no_answer_makes_an_error_tell_it(
    client: MixpanelAPIClient, server: ScriptedServer, call: Call, caplog: pytest.LogCaptureFixture
) -> None:
    errors = 0
    for name, reply in ANSWERS.items():
        server.say(reply)
        try:
            call(client, server.url)
        except MixpanelDataError as error:
            errors += 1
            # The body of a good answer is in the frames that took it in, and what a server writes there is its own.
            assert_silent(everything(error, frames=reply.status != 200), name)
        else:
            assert reply.status == 200, f"{name} should have failed"
    assert errors >= len(ANSWERS) - 5
    assert_silent(repr(client) + repr(vars(client)) + repr(client.budget) + caplog.text)
    assert_silent("".join(request.path for request in server.received))
    assert server.received[0].headers["authorization"] == f"Basic {BASIC}", "it was sent, and could have been told"


def test_who_sends_the_secret_as_a_parameter_does_not_find_it_in_the_error(
    client: MixpanelAPIClient, server: ScriptedServer
) -> None:
    calls: dict[str, Call] = {
        "form": lambda client, _url: client.call(JQL, {"script": f"main('{CANARY}')", "params": {"a": CANARY}}),
        "download": lambda client, _url: client.download(EXPORT, {"where": CANARY}, io.BytesIO()),
        "request": lambda client, url: client.request("GET", f"{url}/{quote(CANARY)}", params={"a": CANARY}),
        "request with a body": lambda client, url: client.request("POST", f"{url}/x", json_body={"a": [CANARY]}),
    }
    for name, call in calls.items():
        for reply in (Reply(400, ECHO.encode()), Reply(412, ECHO.encode()), Reply(HANG_UP)):
            server.say(reply)
            with pytest.raises(MixpanelDataError) as caught:
                call(client, server.url)
            assert_silent(said(caught.value), name)


def test_the_url_and_httpx_log_hold_nothing_of_it(
    client: MixpanelAPIClient, server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.say(Reply(200, b"[]"))
    client.call(NAMES, {"type": "general"})
    assert "HTTP Request:" in caplog.text
    assert_silent(caplog.text + repr(server.received[0].parameters) + server.received[0].path)


def unreachable() -> None:
    with MixpanelAPIClient(secret_credentials(), base_url=f"http://127.0.0.1:{free_port()}") as client:
        client.call(NAMES, {})


def out_of_budget() -> None:
    with MixpanelAPIClient(
        secret_credentials(), base_url=f"http://127.0.0.1:{free_port()}", rate_limits="query=1/hour"
    ) as client:
        spend(client.budget, "query")
        client.call(NAMES, {})


def foreign() -> None:
    with MixpanelAPIClient(secret_credentials(), base_url="http://127.0.0.1:1") as client:
        client.request("GET", f"https://{USERNAME}:canary@mixpanel.com/api/app/me")


def wrong_base_url() -> None:
    MixpanelAPIClient(secret_credentials(), base_url="http://me:canary@127.0.0.1:1")


def wrong_headers() -> None:
    MixpanelAPIClient(secret_credentials(), default_headers={"Authorization": f"Basic {BASIC}"})


def account_twice() -> None:
    for _ in range(2):
        ConfigManager().add_account("a", USERNAME, CANARY, "1", "us")


def account_in_no_region() -> None:
    ConfigManager().add_account("a", USERNAME, CANARY, "1", "mars")


def missing_account() -> None:
    ConfigManager().add_account("a", USERNAME, CANARY, "1", "us")
    Workspace(account="b")


def broken_file() -> None:
    path = ConfigManager().config_path
    path.parent.mkdir()
    path.write_text(f"secret = '{CANARY}")
    Workspace()


def wrong_field_in_the_file() -> None:
    path = ConfigManager().config_path
    path.parent.mkdir()
    path.write_text(f"[accounts.a]\nusername = '{USERNAME}'\nsecret = '{CANARY}'\nproject_id = 'x'\nregion = 'us'")
    Workspace()


def redis_without_its_package() -> None:
    spend(Budget(parse("query=1/hour"), "", SecretStr("redis://:canary@127.0.0.1:1")), "query")


def no_url_of_redis() -> None:
    spend(Budget(parse("query=1/hour"), "", SecretStr("http://:canary@127.0.0.1:1")), "query")


@pytest.mark.parametrize(
    "failing",
    [unreachable, out_of_budget, foreign, wrong_base_url, wrong_headers, account_twice, account_in_no_region,
     missing_account, broken_file, wrong_field_in_the_file, redis_without_its_package, no_url_of_redis],
    ids=lambda failing: failing.__name__,
)  # fmt: skip
def test_no_failure_of_our_own_tells_it(
    failing: Callable[[], None], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(MixpanelDataError) as caught:
        failing()
    assert_silent(said(caught.value) + caplog.text)


def test_the_process_list_shows_nothing_of_it(server: ScriptedServer, environment: pytest.MonkeyPatch) -> None:
    server.say(Reply(200, b"[", missing=1, stalls_s=60))
    told = {"MP_USERNAME": USERNAME, "MP_SECRET": CANARY, "MP_PROJECT_ID": "1", "MP_REGION": "us"}
    process = subprocess.Popen(
        [sys.executable, "-m", "mixpanel_data.cli.app", "auth", "test"],
        env={**os.environ, **told, "MP_API_BASE_URL": server.url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        deadline = time.monotonic() + 60
        while not server.received and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.02)
        assert server.received[0].headers["authorization"] == f"Basic {BASIC}"
        assert_silent(Path(f"/proc/{process.pid}/cmdline").read_text(errors="replace"))
    finally:
        process.terminate()
        output, _ = process.communicate(timeout=60)
    assert_silent(output.decode(errors="replace"))

"""The same within one process: an in-memory client, a server in this process, its Mixpanel scripted or on tape."""

import base64
import errno
import gzip
import json
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastmcp import Client
from fastmcp.client.transports import FastMCPTransport
from mcp.shared.exceptions import MCPError

from harness.cassettes import journal, launch, scan, tape, written
from harness.cassettes.guard import LeftError
from harness.cassettes.host import Host, build, hosted
from harness.cassettes.journal import About, Session
from harness.cassettes.tape import Case, Exchange, Target
from harness.errors import HarnessError
from mixpanel_data import clock
from mp_mcp_server import server
from mp_mcp_server.middleware import rate_limiting
from tests.harness.cassettes.cases import COUNT, JUNE
from tests.harness.cassettes.made import CLOCK, interaction
from tests.harness.cassettes.made import tape as made_tape
from tests.harness.cassettes.test_scrub import forms
from tests.support.scripted_http import Reply, ScriptedServer, scripted_server

pytestmark = pytest.mark.anyio

SECRET = 'canary "secret" / with+odd %letters'
ACCOUNT = {
    "MP_USERNAME": "canary.0a1b2c.mp-service-account",
    "MP_SECRET": SECRET,
    "MP_PROJECT_ID": "2195193",
    "MP_REGION": "eu",
}
ASK = Case("live", "jql", "asked", {"script": COUNT, "params": JUNE})


@pytest.fixture
def mixpanel() -> Iterator[ScriptedServer]:
    """What stands in for Mixpanel."""
    with scripted_server() as server:
        yield server


@contextmanager
def inside(tapes: Path, session: Session | None, variables: dict[str, str | None]) -> Iterator[Host]:
    """A host in this process with these variables and nobody else's."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("MP_")]:
            patch.delenv(name)
        for name, value in {**variables, "MP_CONFIG_PATH": str(tapes / "none.toml")}.items():
            if value is not None:
                patch.setenv(name, value)
        with hosted(tapes, session) as host:
            yield host


@asynccontextmanager
async def recording(
    place: Path, mixpanel: ScriptedServer, target: Target = "emulator"
) -> AsyncIterator[tuple[Host, Client[FastMCPTransport]]]:
    """A host that records what the script says, and a client of its server."""
    session = Session(place / "session")
    if session.about() is None:
        session.begin(About(target, CLOCK, "eu"))
    variables = launch.record_environment(ACCOUNT, mixpanel.url)
    with inside(session.tapes, session, variables) as host:
        async with Client(build()) as client:
            yield host, client


@asynccontextmanager
async def playing(place: Path) -> AsyncIterator[tuple[Host, Client[FastMCPTransport]]]:
    """A host that plays what was recorded there, for the account of nobody."""
    with inside(place / "session" / "tapes", None, launch.play_environment()) as host:
        async with Client(build()) as client:
            yield host, client


async def called(client: Client[FastMCPTransport], case: Case) -> list[Exchange]:
    """The case's calls."""
    made = []
    for call in case.calls:
        result = await client.call_tool(call.tool, dict(call.arguments), raise_on_error=False)
        content = [{"type": "text", "text": part.text} for part in result.content if part.type == "text"]
        said = {"content": content, "structuredContent": result.structured_content, "isError": result.is_error}
        made.append(Exchange(call, said))
    return made


async def record(
    place: Path, mixpanel: ScriptedServer, case: Case, replies: Sequence[Reply], **said: Any
) -> dict[str, Any]:
    """Record a case of what the script says; the report."""
    mixpanel.say(*replies)
    async with recording(place, mixpanel, **said) as (host, client):
        host.record(case)
        return host.end(await called(client, case))


async def play(place: Path, case: Case) -> tuple[list[Exchange], dict[str, Any]]:
    """Play it; the calls and the report."""
    async with playing(place) as (host, client):
        host.begin(case.id)
        exchanges = await called(client, case)
        return exchanges, host.end()


def ok(body: object, **headers: str) -> Reply:
    return Reply(200, json.dumps(body).encode(), {"Content-Type": "application/json", **headers})


async def test_a_secret_that_mixpanel_repeats_in_every_form_is_on_no_tape(
    tmp_path: Path, mixpanel: ScriptedServer
) -> None:
    basic = base64.b64encode(f"{ACCOUNT['MP_USERNAME']}:{SECRET}".encode()).decode()
    said = [{"said": form} for form in [*forms(SECRET), basic, ACCOUNT["MP_USERNAME"]]]
    report = await record(tmp_path, mixpanel, ASK, [ok(said, **{"Set-Cookie": f"s={basic}", "X-Echo": basic})])
    assert (report["sent"], report["misses"]) == (1, [])
    assert mixpanel.received[0].headers["authorization"] == f"Basic {basic}", "it was sent to Mixpanel as it is"
    found = scan.scan(scan.everything(tmp_path / "session"), canaries=[SECRET, ACCOUNT["MP_USERNAME"], basic])
    assert [str(each) for each in found] == []
    text = tape.place(tmp_path / "session" / "tapes", ASK.id).read_text()
    assert ACCOUNT["MP_PROJECT_ID"] not in text
    exchanges, report = await play(tmp_path, ASK)
    assert (report["played"], report["misses"], report["unused"]) == (1, [], [])
    told = exchanges[0].result["structuredContent"]["result"]
    assert told[0]["said"] == "no-secret-opens-a-tape", "the replay's own account stands in its place"
    assert told[-1]["said"] == "replay.000000.mp-service-account"


async def test_a_secret_that_is_asked_for_matches_in_a_replay_of_another_account(
    tmp_path: Path, mixpanel: ScriptedServer
) -> None:
    case = Case("live", "jql", "echoed", {"script": f"function main() {{ return {SECRET!r}; }}"})
    await record(tmp_path, mixpanel, case, [ok([1])])
    theirs = Case("live", "jql", "echoed", {"script": f"function main() {{ return {'no-secret-opens-a-tape'!r}; }}"})
    _, report = await play(tmp_path, theirs)
    assert (report["misses"], report["unused"]) == ([], [])


async def test_people_in_what_live_mixpanel_tells_are_nobody_and_what_is_asked_of_them_still_matches(
    tmp_path: Path, mixpanel: ScriptedServer
) -> None:
    session_id = "0123456789abcdef0123456789abcdef"
    people = [{"$distinct_id": f"ann{n}@example.com", "$properties": {"$email": "ann@example.com"}} for n in range(2)]
    pages = [
        ok({"status": "ok", "results": people[:1], "page": 0, "page_size": 1, "total": 2, "session_id": session_id}),
        ok({"status": "ok", "results": people[1:], "page": 1, "page_size": 1, "total": 2, "session_id": session_id}),
    ]
    case = Case("fetch", "stream_profiles", "live", {})
    report = await record(tmp_path, mixpanel, case, pages, target="live")
    assert (report["sent"], report["misses"]) == (2, [])
    assert json.loads(mixpanel.received[1].body)["session_id"] == session_id, "Mixpanel is asked with what it told"
    text = tape.place(tmp_path / "session" / "tapes", case.id).read_text()
    for person in ("ann@example.com", "ann0@example.com", session_id):
        assert person not in text
    assert text.count("session_id-1") >= 3, "the session stands in the second request too"
    exchanges, report = await play(tmp_path, case)
    assert (report["misses"], report["unused"]) == ([], [])
    assert "@example.invalid" in json.dumps(dict(exchanges[0].result))


async def test_what_the_case_asks_about_stays_readable(tmp_path: Path, mixpanel: ScriptedServer) -> None:
    case = Case("live", "activity_feed", "ann", {"distinct_id": "ann@example.com", **JUNE})
    feed = {"status": "ok", "results": {"events": [{"event": "x", "properties": {"time": 1748736000,
            "distinct_id": "ann@example.com", "by": "bob@example.com"}}]}}  # fmt: skip
    await record(tmp_path, mixpanel, case, [ok(feed)], target="live")
    text = tape.place(tmp_path / "session" / "tapes", case.id).read_text()
    assert "ann@example.com" in text
    assert "bob@example.com" not in text
    _, report = await play(tmp_path, case)
    assert (report["misses"], report["unused"]) == ([], [])


async def test_every_member_of_a_gzip_stream_is_on_tape_as_text_and_travels_packed(
    tmp_path: Path, mixpanel: ScriptedServer
) -> None:
    lines = [
        json.dumps({"event": "A", "properties": {"time": 1750000000000 + n, "distinct_id": "u"}}) + "\n"
        for n in range(4)
    ]
    packed = gzip.compress("".join(lines[:2]).encode()) + gzip.compress("".join(lines[2:]).encode())
    case = Case("fetch", "stream_events", "packed", {**JUNE, "limit": 10})
    await record(tmp_path, mixpanel, case, [Reply(200, packed, {"Content-Encoding": "gzip"})])
    recorded = written.read(tmp_path / "session" / "tapes", case.id)
    assert recorded.interactions[0].answer.body == "".join(lines).encode()
    exchanges, report = await play(tmp_path, case)
    assert report["misses"] == []
    assert len(exchanges[0].result["structuredContent"]["result"]) == 4


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, gzip.compress(b"x" * 1000)[:-12], {"Content-Encoding": "gzip"}),
        Reply(200, b"no gzip", {"Content-Encoding": "gzip"}),
        Reply(200, b"x", {"Content-Encoding": "br"}),
    ],
    ids=["cut", "damaged", "another"],
)
async def test_a_body_that_no_scan_could_read_is_on_no_tape(
    reply: Reply, tmp_path: Path, mixpanel: ScriptedServer
) -> None:
    report = await record(tmp_path, mixpanel, Case("fetch", "stream_events", "odd", {**JUNE}), [reply])
    assert len(report["misses"]) == 1
    assert "cannot go on a tape" in report["misses"][0]
    assert Session(tmp_path / "session").journal("fetch/stream_events--odd").read() == []


@pytest.mark.parametrize(("target", "sent"), [("emulator", 1), ("live", 0)])
async def test_what_cannot_be_written_down_makes_no_tape(
    target: Target, sent: int, tmp_path: Path, mixpanel: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(journal, "_append", full)
    report = await record(tmp_path, mixpanel, ASK, [ok([1])], target=target)
    assert len(mixpanel.received) == sent, "what is sent to live Mixpanel is counted before"
    assert len(report["misses"]) == 1
    assert "cannot be written: No space left on device" in report["misses"][0]


async def test_waits_are_skipped_where_nothing_of_the_world_is_asked(tmp_path: Path, mixpanel: ScriptedServer) -> None:
    case = Case("live", "jql", "patient", ASK.arguments, faults=({"kind": "status"},))
    replies = [Reply(429, b"{}", {"Retry-After": "100"}), Reply(503, b"{}"), ok([1])]
    begun = clock.monotonic()
    report = await record(tmp_path, mixpanel, case, replies)
    exchanges, played = await play(tmp_path, case)
    assert exchanges[0].result["structuredContent"]["result"] == [1]
    assert clock.monotonic() - begun < 90
    for each in (report, played):
        assert each["slept"][0] == 100
        assert 2 <= each["slept"][1] <= 2.3, "the second try's backoff, with its jitter"
    assert (played["misses"], played["unused"]) == ([], [])


async def test_a_budget_that_is_spent_is_waited_for_on_the_same_clock(tmp_path: Path, mixpanel: ScriptedServer) -> None:
    mixpanel.say(ok([1]))
    async with recording(tmp_path, mixpanel) as (host, client):
        host.record(ASK)
        for number in range(60):
            assert not (await client.call_tool("jql", {"script": f"{COUNT} // {number}"})).is_error
        refused = await client.call_tool("jql", {"script": f"{COUNT} // too many"}, raise_on_error=False)
        assert refused.is_error
        assert refused.structured_content is not None
        assert refused.structured_content["code"] == "RATE_LIMITED"
        host.end()
        # The next case has an hour of its own.
        host.record(Case("live", "jql", "next", ASK.arguments))
        assert not (await client.call_tool("jql", {"script": f"{COUNT} // next"})).is_error
        host.end()


async def test_an_accident_in_the_middle_is_not_on_tape_and_the_case_is_good_without_it(
    tmp_path: Path, mixpanel: ScriptedServer
) -> None:
    report = await record(tmp_path, mixpanel, ASK, [Reply(503, b"{}"), ok([7])])
    assert report["refused"] == {"503": 1}
    exchanges, played = await play(tmp_path, ASK)
    assert exchanges[0].result["structuredContent"]["result"] == [7]
    assert (played["played"], played["slept"]) == (1, [])


async def test_a_rate_limit_stops_the_recording_and_the_next_one_goes_on(
    tmp_path: Path, mixpanel: ScriptedServer
) -> None:
    scripts = [{"script": f"{COUNT} // {number}"} for number in range(3)]
    case = Case("live", "jql", "three", scripts[2], tuple(tape.ToolCall("jql", each) for each in scripts[:2]))
    report = await record(tmp_path, mixpanel, case, [ok([0]), Reply(429, b"{}", {"Retry-After": "3600"})])
    assert report["stopped"] == {
        "cause": "Mixpanel takes no more for now (HTTP 429)", "status": 429, "retry_after": "3600",
    }  # fmt: skip
    asked = len(mixpanel.received)
    report = await record(tmp_path, mixpanel, case, [ok([1]), ok([2])])
    assert (report["played"], report["sent"], report["stopped"]) == (1, 2, None)
    assert len(mixpanel.received) == asked + 2
    exchanges, _ = await play(tmp_path, case)
    assert [each.result["structuredContent"]["result"] for each in exchanges] == [[0], [1], [2]]


async def test_a_replay_that_tries_to_leave_is_stopped_and_counted(tmp_path: Path) -> None:
    written.write(tmp_path / "session" / "tapes", made_tape(interaction(1)))
    async with playing(tmp_path) as (host, _):
        with pytest.raises(LeftError), socket.socket() as asking:
            asking.connect(("192.0.2.1", 443))
        with pytest.raises(LeftError), socket.socket(socket.AF_INET6) as asking:
            asking.connect(("2001:db8::1", 443))
        with pytest.raises(LeftError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.sendto(b"x", ("192.0.2.1", 53))
        with pytest.raises(LeftError):
            socket.getaddrinfo("mixpanel.com", 443)
        with pytest.raises(HarnessError, match="is no request to Mixpanel"):
            httpx.get("https://example.com/")
        with pytest.raises(HarnessError, match="no case is on"):
            httpx.get("https://mixpanel.com/api/query/events/names")
        expected = ["192.0.2.1:443", "2001:db8::1:443", "192.0.2.1:53", "mixpanel.com"]
        assert host.state()["attempts_to_leave"] == expected
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            socket.create_connection(listening.getsockname()).close()
        assert host.state()["attempts_to_leave"] == expected, "this machine may be asked"
    # Asked afterwards, the system alone answers; nothing of this network ever does.
    with pytest.raises(OSError, match=r"in progress|nreachable") as error, socket.socket() as asking:
        _begin_to_connect(asking)
    assert not isinstance(error.value, LeftError)
    assert host.guard.attempts == expected


def _begin_to_connect(asking: socket.socket) -> None:
    asking.setblocking(False)
    asking.connect(("192.0.2.1", 443))


async def test_what_was_kept_for_an_earlier_case_cannot_be_read_in_the_next(
    tmp_path: Path, mixpanel: ScriptedServer
) -> None:
    rows = [{"row": number, "words": "long " * 200} for number in range(400)]
    other = Case("live", "jql", "other", {"script": f"{COUNT} // other"})
    await record(tmp_path, mixpanel, ASK, [ok(rows)])
    await record(tmp_path, mixpanel, other, [ok([1])])
    async with playing(tmp_path) as (host, client):
        host.begin(ASK.id)
        answered = await client.call_tool("jql", dict(ASK.arguments))
        handle = (answered.structured_content or {})["full_result"]
        page = json.loads((await client.read_resource(handle))[0].text)  # type: ignore[union-attr]
        assert page["total"] == 400
        host.end()
        host.begin(other.id)
        with pytest.raises(MCPError):
            await client.read_resource(handle)
        await client.call_tool("jql", dict(other.arguments))
        assert host.end()["unused"] == []


async def test_a_host_without_a_store_of_its_own_leaves_the_users_alone(
    tmp_path: Path, mixpanel: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    lines = json.dumps({"event": "A", "properties": {"time": 1750000000000, "distinct_id": "u", "$insert_id": "i"}})
    case = Case("fetch", "fetch_events", "few", {"from_date": "2025-06-15", "to_date": "2025-06-15"})
    await record(tmp_path, mixpanel, case, [Reply(200, f"{lines}\n".encode())])
    with inside(tmp_path / "session" / "tapes", None, launch.play_environment()) as host:
        host.shelve()
        async with Client(build()) as client:
            assert not (await client.call_tool("fetch_events", dict(case.arguments))).is_error
            assert (await client.call_tool("list_tables", {})).structured_content["result"]
    assert list((tmp_path / "home").iterdir()) == []


async def test_everything_is_as_it_was_afterwards(tmp_path: Path, mixpanel: ScriptedServer) -> None:
    def in_place() -> list[object]:
        clocks = [getattr(clock, name) for name in ("now", "epoch", "monotonic", "sleep")]
        servers = [server.build, vars(server)["Workspaces"], vars(rate_limiting)["anyio"]]
        return [*clocks, *servers, httpx.HTTPTransport.handle_request, subprocess.Popen.__init__]

    before = in_place()
    await record(tmp_path, mixpanel, ASK, [ok([1])])
    with pytest.raises(HarnessError):
        await play(tmp_path, Case("live", "jql", "gone"))
    assert in_place() == before
    assert [each.name for each in (tmp_path / "session").iterdir()] != []


async def test_a_replay_of_another_project_is_refused(tmp_path: Path) -> None:
    variables = {**launch.play_environment(), "MP_PROJECT_ID": "7"}
    with pytest.raises(HarnessError) as error, inside(tmp_path, None, variables):
        pass
    assert error.value.code == "OTHER_PROJECT"
    with pytest.raises(HarnessError) as error, inside(tmp_path, None, {}):
        pass
    assert error.value.code == "CREDENTIALS_MISSING"

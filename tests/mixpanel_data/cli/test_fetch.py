"""`mp fetch`: what ends up in tables or on stdout is what the data set has."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from mixpanel_data import Workspace
from tests.mixpanel_data.cli.conftest import FIRST, LAST, Mp, mp_process
from tests.support.brute_force import between
from tests.support.emulator import Emulator

WEEK = ("--from", FIRST, "--to", LAST)


@pytest.fixture
def workspace(on_emulator: pytest.MonkeyPatch, emulator: Emulator) -> Iterator[Workspace]:
    """What `mp` works on, with a database that is not there yet."""
    with Workspace() as made:
        yield made
    httpx.delete(f"{emulator.url}/_emulator/faults").raise_for_status()


@pytest.fixture(scope="session")
def exported(emulator: Emulator) -> list[dict[str, Any]]:
    """The week's events as the service exports them, read without our client."""
    told = emulator.environment
    answer = httpx.get(
        f"{emulator.url}/api/2.0/export",
        params={"project_id": told["MP_PROJECT_ID"], "from_date": FIRST, "to_date": LAST, "time_in_ms": "true"},
        auth=(told["MP_USERNAME"], told["MP_SECRET"]),
    )
    return [json.loads(line) for line in answer.text.split("\n") if line]


def identities(events: list[dict[str, Any]]) -> set[tuple[str, int, str, str]]:
    return {
        (each["event"], each["properties"]["time"], each["properties"]["distinct_id"], each["properties"]["$insert_id"])
        for each in events
    }


def stored(workspace: Workspace, table: str = "events") -> set[tuple[str, int, str, str]]:
    found = workspace.sql_rows(f"select event_name, epoch_ms(event_time), distinct_id, insert_id from {table}")
    assert len(set(found.rows)) == len(found.rows)
    return set(found.rows)


def fault(emulator: Emulator, rule: dict[str, Any]) -> None:
    """Let the emulator's next answers go wrong."""
    httpx.delete(f"{emulator.url}/_emulator/faults").raise_for_status()
    httpx.post(f"{emulator.url}/_emulator/faults", content=json.dumps(rule)).raise_for_status()


@pytest.mark.parametrize("how", [(), ("--parallel", "--workers", "2", "--chunk-days", "3")], ids=["whole", "parallel"])
def test_events_come_into_a_table(
    workspace: Workspace, exported: list[dict[str, Any]], mp: Mp, how: tuple[str, ...]
) -> None:
    ran = mp("fetch", "events", "week", *WEEK, *how)
    told = json.loads(ran.out)
    expected = identities(exported)
    assert ran.code == 0
    assert told["table"] == "week"
    assert told.get("rows", told.get("total_rows")) == len(expected)
    assert stored(workspace, "week") == expected
    assert ("export calls" in ran.err) == bool(how), "what a parallel fetch costs is said"


def test_only_the_events_that_are_asked_for_come(workspace: Workspace, exported: list[dict[str, Any]], mp: Mp) -> None:
    assert mp("fetch", "events", *WEEK, "-e", "Sign Up, Search", "-w", 'properties["$os"] == "iOS"').code == 0
    wanted = [
        each
        for each in between(exported, FIRST, LAST)
        if each["event"] in {"Sign Up", "Search"} and each["properties"].get("$os") == "iOS"
    ]
    assert 0 < len(wanted) < len(exported)
    assert stored(workspace) == identities([dict(each) for each in wanted])


def test_a_limit_is_kept(workspace: Workspace, mp: Mp) -> None:
    assert json.loads(mp("fetch", "events", *WEEK, "--limit", "5").out)["rows"] == 5


def test_a_table_that_is_there_is_added_to_or_replaced_only_when_that_is_said(
    workspace: Workspace, exported: list[dict[str, Any]], mp: Mp
) -> None:
    day = ("--from", LAST, "--to", LAST)
    assert mp("fetch", "events", *day).code == 0
    ran = mp("fetch", "events", *WEEK)
    assert (ran.code, ran.out) == (1, "")
    assert "--append" in ran.err
    assert mp("fetch", "events", *WEEK, "--append").code == 0
    assert stored(workspace) == identities(exported)
    assert mp("fetch", "events", *day, "--replace").code == 0
    assert stored(workspace) == identities([dict(each) for each in between(exported, LAST, LAST)])


def test_a_slip_in_a_replacing_fetch_loses_nothing(
    workspace: Workspace, exported: list[dict[str, Any]], mp: Mp
) -> None:
    assert mp("fetch", "events", *WEEK).code == 0
    for slip in (("--from", LAST, "--to", FIRST), (*WEEK, "--limit", "0"), (*WEEK, "--batch-size", "7")):
        ran = mp("fetch", "events", *slip, "--replace")
        assert (ran.code, ran.out) == (3, "")
    assert stored(workspace) == identities(exported)


@pytest.mark.parametrize("raw", [False, True])
def test_events_stream_to_stdout_and_nothing_is_stored(
    workspace: Workspace, exported: list[dict[str, Any]], mp: Mp, raw: bool
) -> None:
    ran = mp("fetch", "events", *WEEK, "--stdout", *(["--raw"] if raw else []))
    rows = [json.loads(line) for line in ran.out.splitlines()]
    assert ran.code == 0
    assert ran.err == f"{len(exported)} events in all\n"
    if raw:
        assert rows == exported
    else:
        assert {(row["event_name"], row["distinct_id"], row["insert_id"]) for row in rows} == {
            (name, user, key) for name, _, user, key in identities(exported)
        }
        assert all(row["event_time"].endswith("+00:00") for row in rows)
    assert workspace.db_path is not None
    assert not workspace.db_path.exists()


def test_a_stream_can_be_filtered_line_by_line(workspace: Workspace, exported: list[dict[str, Any]], mp: Mp) -> None:
    ran = mp("--quiet", "fetch", "events", *WEEK, "--stdout", "--raw", "--jq", 'select(.event == "Sign Up") | .event')
    assert ran.out == '"Sign Up"\n' * sum(each["event"] == "Sign Up" for each in exported)
    assert ran.err == ""


def test_the_count_of_a_long_stream_is_said_every_thousand(workspace: Workspace, mp: Mp) -> None:
    ran = mp("fetch", "events", "--from", "2025-05-02", "--to", LAST, "--stdout")
    count = len(ran.out.splitlines())
    assert count > 1000
    said = [f"{number} events" for number in range(1000, count + 1, 1000)]
    assert ran.err.splitlines() == [*said, f"{count} events in all"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--from", FIRST), "--to: is missing"),
        (("--to", LAST), "--from: is missing"),
        ((*WEEK, "--replace", "--append"), "exclude each other"),
        ((*WEEK, "--raw"), "add --stdout"),
        ((*WEEK, "--stdout", "--append"), "--stdout stores none"),
        ((*WEEK, "--stdout", "--parallel"), "--stdout stores none"),
        ((*WEEK, "--stdout", "-f", "table"), "JSON lines"),
        ((*WEEK, "--parallel", "--limit", "5"), "exclude each other"),
        ((*WEEK, "--limit", "100001"), "100000"),
        ((*WEEK, "--workers", "0", "--parallel"), "max_workers"),
        ((*WEEK, "--chunk-days", "101", "--parallel"), "chunk_days"),
        (("bad-name", *WEEK), "invalid table name"),
        (("--from", "2025-01-01", "--to", LAST), "--parallel"),
    ],
)
def test_a_wrong_request_is_3_before_anything_is_asked(
    workspace: Workspace, emulator: Emulator, mp: Mp, words: tuple[str, ...], said: str
) -> None:
    before = emulator.requests()
    ran = mp("fetch", "events", *words)
    assert (ran.code, ran.out) == (3, "")
    assert said in ran.err
    assert emulator.requests_since(before) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "is not JSON"),
        ("{}", "not a list of objects"),
        ("[]", "not a list of objects"),
        ('[{"window": "30d", "name": "x"}]', "'event_selectors'"),
        ('[{"window": "30d", "name": "x", "event_selectors": []}]', "--where"),
    ],
)
def test_wrong_behaviors_are_3_and_show_what_is_right(workspace: Workspace, mp: Mp, text: str, said: str) -> None:
    ran = mp("fetch", "profiles", "--behaviors", text)
    assert (ran.code, ran.out) == (3, "")
    assert said in ran.err


def test_profiles_come_into_a_table_or_to_stdout(workspace: Workspace, mp: Mp) -> None:
    ran = mp("fetch", "profiles", "people")
    streamed = mp("fetch", "profiles", "--stdout")
    raw = mp("fetch", "profiles", "--stdout", "--raw")
    assert (ran.code, streamed.code, raw.code) == (0, 0, 0)
    ids = {row[0] for row in workspace.sql_rows("select distinct_id from people")}
    assert json.loads(ran.out)["rows"] == len(ids) > 50
    assert {json.loads(line)["distinct_id"] for line in streamed.out.splitlines()} == ids
    assert {json.loads(line)["$distinct_id"] for line in raw.out.splitlines()} == ids
    assert streamed.err.endswith(f"{len(ids)} profiles in all\n")


def test_only_the_profiles_that_are_asked_for_come(workspace: Workspace, mp: Mp) -> None:
    one, other = sorted(row[0] for row in told(mp("fetch", "profiles", "--stdout")))[:2]
    assert told(mp("fetch", "profiles", "--stdout", "--distinct-id", one)) == [(one,)]
    both = mp("fetch", "profiles", "--stdout", "--distinct-ids", one, "--distinct-ids", other)
    assert told(both) == [(one,), (other,)]
    ran = mp("fetch", "profiles", "--stdout", "-w", f'properties["$distinct_id"] == "{one}"', "-o", "$city")
    assert all(set(json.loads(line)["properties"]) <= {"$city"} for line in ran.out.splitlines())
    behaviors = '[{"window": "30d", "name": "x", "event_selectors": [{"event": "App Open"}]}]'
    active = mp("fetch", "profiles", "--stdout", "--behaviors", behaviors, "-w", '(behaviors["x"] > 0)')
    assert 0 < len(told(active)) < len(told(mp("fetch", "profiles", "--stdout")))


def told(ran: Any) -> list[tuple[str]]:
    assert ran.code == 0, ran.err
    return sorted((json.loads(line)["distinct_id"],) for line in ran.out.splitlines())


def test_when_a_part_fails_the_result_says_which_and_the_end_is_1(
    workspace: Workspace, emulator: Emulator, mp: Mp
) -> None:
    fault(emulator, {"kind": "status", "value": 400, "path": "/api/2.0/export", "count": 1})
    ran = mp("fetch", "events", *WEEK, "--parallel", "--chunk-days", "4", "--workers", "1")
    assert ran.code == 1
    failed = json.loads(ran.out)
    assert (failed["has_failures"], failed["failed_batches"]) == (True, 1)
    assert "parts of it failed" in ran.err
    ran = mp("fetch", "events", *WEEK, "--parallel", "--chunk-days", "4")
    assert (ran.code, json.loads(ran.out)["has_failures"]) == (0, False)


def test_what_is_incomplete_is_replaced_as_a_whole(
    workspace: Workspace, emulator: Emulator, exported: list[dict[str, Any]], mp: Mp
) -> None:
    fault(emulator, {"kind": "status", "value": 400, "path": "/api/2.0/export", "count": 1})
    assert mp("fetch", "events", *WEEK, "--parallel", "--chunk-days", "4", "--workers", "1").code == 1
    assert workspace.tables()[0].gaps
    ran = mp("fetch", "events", *WEEK, "--parallel", "--chunk-days", "4", "--replace", "--jq", ".total_rows")
    assert (ran.code, int(ran.out)) == (0, len(identities(exported)))
    assert not workspace.tables()[0].gaps


def test_who_interrupts_a_fetch_keeps_what_is_there_and_goes_on(
    workspace: Workspace, emulator: Emulator, exported: list[dict[str, Any]], mp: Mp
) -> None:
    fault(emulator, {"kind": "latency", "value": 3000, "path": "/api/2.0/export", "skip": 2, "count": 1})
    words = ("fetch", "events", *WEEK, "--parallel", "--chunk-days", "1", "--workers", "1")
    two_days = len(identities([dict(each) for each in between(exported, FIRST, "2025-06-25")]))
    with subprocess.Popen(
        [sys.executable, "-m", "mixpanel_data.cli.app", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        deadline = time.monotonic() + 60
        # Then it waits for the third day.
        while not any(table.row_count == two_days for table in workspace.tables()):
            assert time.monotonic() < deadline
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, b""), err
    assert b"the same call fetches the rest" in err
    assert len(stored(workspace)) == two_days
    assert mp(*words).code == 0
    assert stored(workspace) == identities(exported)


def test_a_fetch_writes_data_to_stdout_only(on_emulator: pytest.MonkeyPatch) -> None:
    ran = mp_process("--quiet", "fetch", "events", *WEEK, "--jq", ".rows")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert int(ran.stdout) > 0

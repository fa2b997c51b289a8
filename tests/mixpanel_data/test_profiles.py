"""Profiles: what is sent for each filter, page after page, and every profile once, as it came, or no table at all."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from fixtures.emulator.faults import KINDS
from mixpanel_data import (
    APIError,
    Credentials,
    FetchResult,
    InvalidArgumentError,
    MixpanelAPIClient,
    MixpanelDataError,
    ParallelProfileResult,
    ProfilePageResult,
    ProfileProgress,
    QueryError,
    StorageError,
    TableExistsError,
    TableNotFoundError,
    Workspace,
    clock,
    profiles,
)
from tests.support import data_sets
from tests.support.emulator import Emulator, running_emulator
from tests.support.faults import patience_s
from tests.support.scripted_http import Reply, ScriptedServer

USERS = 2100
Profile = dict[str, Any]


def profile(distinct_id: Any = "u1", /, **properties: Any) -> Profile:
    """A profile as Mixpanel sends it; `seen` stands for `$last_seen`."""
    return {
        "$distinct_id": distinct_id,
        "$properties": {"$last_seen" if name == "seen" else name: value for name, value in properties.items()},
    }


def page(*found: Profile, **envelope: Any) -> Reply:
    answer = {"status": "ok", "session_id": "1740900000-K3xQ9A", "page_size": 1000, "results": list(found)}
    return Reply(body=json.dumps({"page": 0, "total": len(found), **answer, **envelope}).encode())


def stored(workspace: Workspace, table: str = "profiles") -> dict[str, tuple[Any, datetime | None]]:
    """Distinct id → properties and time of last sight."""
    rows = workspace.sql_rows(f"select distinct_id, properties, last_seen from {table}")
    found = {who: (json.loads(text), seen) for who, text, seen in rows}
    assert len(found) == len(rows), "a profile is there twice"
    return found


def expected(found: list[Profile]) -> dict[str, tuple[Any, datetime | None]]:
    """The same for profiles as they were sent."""
    told = {}
    for one in found:
        properties = dict(one["$properties"])
        seen = properties.pop("$last_seen", None)
        told[str(one["$distinct_id"])] = (properties, None if seen is None else datetime.fromisoformat(seen))
    return told


def nothing_is_left(workspace: Workspace) -> bool:
    assert workspace.db_path is not None
    beside = {path.name for path in workspace.db_path.parent.iterdir()} - {"home"}
    return workspace.tables() == [] and beside <= {workspace.db_path.name}


@pytest.fixture(scope="module")
def population(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An emulator with three pages of profiles, the last of them not full."""
    log = tmp_path_factory.mktemp("population") / "log"
    days = ("--days", "3", "--last-day", "2025-06-30", "--now", "2025-06-30")
    arguments = ("--seed", "3", "--users", str(USERS), *days, "--no-stories", "--strict")
    with running_emulator(log, *arguments, cache_dir=data_sets.kept(tmp_path_factory)) as running:
        yield running


@pytest.fixture
def users(
    population: Emulator, environment: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Workspace]:
    """A workspace on it whose client does not wait before it tries again."""
    environment.setenv("MP_NOW", "2025-06-30")
    environment.setattr(clock, "sleep", lambda *_: None)
    told = population.environment
    credentials = Credentials.model_validate({name[3:].lower(): value for name, value in told.items()})
    waits_s = patience_s(request)
    client = MixpanelAPIClient(
        credentials, base_url=population.url, timeout=waits_s, export_timeout=waits_s, max_retries=1
    )
    with Workspace(path=tmp_path / "store.db", _api_client=client) as made:
        yield made
    control(population, "DELETE", "faults")


def control(emulator: Emulator, method: str, what: str, document: Any = None) -> Any:
    """Use one of the emulator's own routes."""
    body = None if document is None else json.dumps(document).encode()
    asked = urllib.request.Request(f"{emulator.url}/_emulator/{what}", body, method=method)  # noqa: S310  # loopback
    with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310  # loopback
        return json.load(answer)


def by_hand(emulator: Emulator, **parameters: Any) -> list[Profile]:
    """All profiles that Mixpanel's documented form of the question finds, without our client."""
    account = emulator.about["account"]
    login = b64encode(f"{account['username']}:{account['secret']}".encode()).decode()
    url = f"{emulator.url}/api/query/engage?project_id={emulator.about['project']['id']}"
    found: list[Profile] = []
    asked: dict[str, Any] = {**parameters, "page": 0}
    while True:
        form = urllib.parse.urlencode(
            {name: value if isinstance(value, str) else json.dumps(value) for name, value in asked.items()}
        ).encode()
        request = urllib.request.Request(url, form, {"Authorization": f"Basic {login}"})  # noqa: S310  # loopback
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310  # loopback
            answer = json.load(response)
        found += answer["results"]
        if len(answer["results"]) < answer["page_size"]:
            return found
        asked |= {"session_id": answer["session_id"], "page": asked["page"] + 1}


@pytest.fixture(scope="module")
def everybody(population: Emulator) -> list[Profile]:
    found = by_hand(population)
    assert len(found) == USERS
    return found


@pytest.mark.parametrize("parallel", [False, True])
def test_every_profile_arrives_as_it_is(users: Workspace, everybody: list[Profile], parallel: bool) -> None:
    told: list[ProfileProgress] = []
    result = users.fetch_profiles(parallel=parallel, on_page_complete=told.append)
    assert stored(users) == expected(everybody)
    assert [(table.name, table.type, table.row_count) for table in users.tables()] == [("profiles", "profiles", USERS)]
    assert sorted((one.page_index, one.rows, one.success, one.total_pages) for one in told) == [
        (0, 1000, True, 3),
        (1, 1000, True, 3),
        (2, 100, True, 3),
    ]
    assert told[-1].cumulative_rows == USERS
    if parallel:
        assert isinstance(result, ParallelProfileResult)
        assert (result.total_rows, result.successful_pages, result.has_failures) == (USERS, 3, False)
        assert result.to_dict()["failed_page_indices"] == []
    else:
        assert isinstance(result, FetchResult)
        assert (result.rows, result.type, result.date_range, result.table) == (USERS, "profiles", None, "profiles")
    assert json.dumps(result.to_dict())


def test_streams_hand_out_the_same_profiles(users: Workspace, everybody: list[Profile]) -> None:
    assert list(users.stream_profiles(raw=True)) == everybody
    rows = {row["distinct_id"]: row for row in users.stream_profiles()}
    assert rows.keys() == {one["$distinct_id"] for one in everybody}
    for one in everybody:
        seen = one["$properties"].get("$last_seen")
        rest = {name: value for name, value in one["$properties"].items() if name != "$last_seen"}
        who = one["$distinct_id"]
        assert rows[who] == {"distinct_id": who, "last_seen": seen, "properties": rest}
    assert users.tables() == []


def test_a_stream_asks_for_a_page_when_it_needs_it(users: Workspace, population: Emulator) -> None:
    before = population.requests()
    stream = users.stream_profiles()
    assert population.requests_since(before) == []
    next(stream)
    assert [request["path"] for request in population.requests_since(before)] == ["/api/2.0/engage"]


@pytest.mark.parametrize(
    ("filters", "by_form"),
    [
        (
            {"where": 'properties["$browser"] == "Chrome"', "output_properties": ["$browser", "$last_seen"]},
            {"where": 'properties["$browser"] == "Chrome"', "output_properties": ["$browser", "$last_seen"]},
        ),
        (
            {
                "behaviors": [{"window": "3d", "name": "any", "event_selectors": [{"event": "Sign Up"}]}],
                "where": 'behaviors["any"] >= 1',
                "as_of_timestamp": 1751241600,
            },
            {
                "behaviors": [{"window": "3d", "name": "any", "event_selectors": [{"event": "Sign Up"}]}],
                "where": 'behaviors["any"] >= 1',
                "as_of_timestamp": 1751241600,
            },
        ),
    ],
    ids=["where", "behaviors"],
)
def test_filters_find_what_they_find_by_hand(
    users: Workspace, population: Emulator, filters: dict[str, Any], by_form: dict[str, Any]
) -> None:
    users.fetch_profiles(**filters)
    assert stored(users) == expected(by_hand(population, **by_form))


def test_a_cohort_with_and_without_members_that_have_no_profile(users: Workspace, population: Emulator) -> None:
    cohort = users.cohorts()[0].id
    for include in (False, True):
        table = f"with_{include}"
        users.fetch_profiles(table, cohort_id=str(cohort), include_all_users=include)
        by_form = by_hand(population, filter_by_cohort={"id": cohort}, include_all_users=include)
        assert stored(users, table) == expected(by_form)


def test_single_profiles(users: Workspace, population: Emulator, everybody: list[Profile]) -> None:
    wanted = [one["$distinct_id"] for one in everybody[5:8]]
    users.fetch_profiles("one", distinct_id=wanted[0])
    users.fetch_profiles("few", distinct_ids=[*wanted, wanted[0], "nobody"], parallel=True)
    assert stored(users, "one") == expected(everybody[5:6])
    assert stored(users, "few") == expected(everybody[5:8])
    before = population.requests()
    assert users.fetch_profiles("none", distinct_ids=[]).to_dict()["rows"] == 0
    assert list(users.stream_profiles(distinct_ids=[])) == []
    assert stored(users, "none") == {}
    assert population.requests_since(before) == [], "an empty list asks nothing"


def test_behaviors_without_a_time_can_have_more_than_one_page(users: Workspace, everybody: list[Profile]) -> None:
    behaviors = [{"window": "3d", "name": "never", "event_selectors": [{"event": "Nothing Of The Kind"}]}]
    users.fetch_profiles(behaviors=behaviors, where='behaviors["never"] == 0')
    assert stored(users) == expected(everybody)


ASKED: dict[str, Any] = {
    "where": 'properties["plan"] == "pro"',
    "cohort_id": "12345",
    "include_all_users": True,
    "output_properties": ["$email", "plan"],
    "group_id": "company",
}


def test_what_is_sent(workspace: Workspace, server: ScriptedServer) -> None:
    server.say(page())
    workspace.fetch_profiles(**ASKED)
    workspace.fetch_profiles("b", cohort_id=12345)
    workspace.fetch_profiles("c", distinct_ids=["u1", "u2", "u1"], as_of_timestamp=5)
    sent = [json.loads(request.body) for request in server.received]
    assert [(request.method, request.path) for request in server.received] == [("POST", "/api/2.0/engage")] * 3
    assert server.received[0].parameters == {"project_id": "4100200"}
    assert sent[0] == {
        "page": 0,
        "where": 'properties["plan"] == "pro"',
        "filter_by_cohort": '{"id":12345}',
        "include_all_users": True,
        "output_properties": '["$email","plan"]',
        "data_group_id": "company",
    }
    assert sent[1] == {"page": 0, "filter_by_cohort": '{"id":12345}', "include_all_users": False}
    assert sent[2] == {"page": 0, "distinct_ids": '["u1","u2"]', "as_of_timestamp": 5}


def test_later_pages_repeat_the_question_and_name_the_session(workspace: Workspace, server: ScriptedServer) -> None:
    server.say(page(profile("a"), page_size=1, total=2), page(profile("b"), page=1, page_size=1, total=2))
    workspace.fetch_profiles(where='properties["plan"] == "pro"')
    first, second = (json.loads(request.body) for request in server.received)
    assert second == {**first, "page": 1, "session_id": "1740900000-K3xQ9A"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "_metadata"},
        {"where": " "},
        {"cohort_id": "x1"},
        {"cohort_id": True},
        {"output_properties": []},
        {"output_properties": "plan"},
        {"distinct_id": ""},
        {"distinct_ids": "u1"},
        {"distinct_id": "a", "distinct_ids": ["b"]},
        {"behaviors": "x"},
        {"behaviors": [{"window": "1d"}]},
        {"behaviors": []},
        {"behaviors": [{"window": "1d", "name": "a", "event_selectors": []}], "cohort_id": 1},
        {"include_all_users": True},
        {"as_of_timestamp": 99_999_999_999},
        {"as_of_timestamp": "now"},
        {"batch_size": 99},
        {"batch_size": 100_001},
        {"max_workers": 0},
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_asked(
    workspace: Workspace, server: ScriptedServer, wrong: dict[str, Any]
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        workspace.fetch_profiles(**wrong)
    assert caught.value.fix
    if not {"name", "batch_size", "max_workers"} & wrong.keys():
        with pytest.raises(InvalidArgumentError):
            workspace.stream_profiles(**wrong)
    assert not server.received


def test_tables_are_checked_before_anything_is_asked(workspace: Workspace, server: ScriptedServer) -> None:
    with pytest.raises(TableNotFoundError):
        workspace.fetch_profiles(append=True)
    workspace.sql("create table profiles as select 1 as x")
    with pytest.raises(TableExistsError):
        workspace.fetch_profiles(parallel=True)
    with pytest.raises(InvalidArgumentError, match="not one of fetched profiles"):
        workspace.fetch_profiles(append=True)
    assert workspace.db_path is not None
    reader = Workspace(path=workspace.db_path, read_only=True, _api_client=workspace.api)
    with pytest.raises(StorageError, match="read-only"):
        reader.fetch_profiles("other")
    assert not server.received


def test_an_append_refreshes_profiles_that_are_known(workspace: Workspace, server: ScriptedServer) -> None:
    server.say(
        page(profile("a", plan="free", old=1), profile("b", plan="free")),
        page(profile("a", plan="pro"), profile("c", plan="free")),
    )
    first = workspace.fetch_profiles()
    second = workspace.fetch_profiles(append=True)
    assert stored(workspace) == {
        "a": ({"plan": "pro"}, None),
        "b": ({"plan": "free"}, None),
        "c": ({"plan": "free"}, None),
    }
    assert (first.to_dict()["rows"], second.to_dict()["rows"]) == (2, 1)
    assert [table.row_count for table in workspace.tables()] == [3]


def test_odd_values_arrive_as_they_are(workspace: Workspace, server: ScriptedServer) -> None:
    seen = {
        "2025-03-01T10:00:00": datetime.fromisoformat("2025-03-01T10:00:00"),
        "2025-03-01T10:00:00Z": datetime.fromisoformat("2025-03-01T10:00:00"),
        "2025-03-01T10:00:00+02:00": datetime.fromisoformat("2025-03-01T08:00:00"),
        "2025-03-01T10:00:00.25": datetime.fromisoformat("2025-03-01T10:00:00.250000"),
    }
    odd: dict[str, Any] = {
        "": None,
        "a": 2**60,
        "b": 1.5,
        'quote"': [1, {"x": None}],
        "dot.ted": True,
        "$x": "\u2028é😀",
        "back\\slash": {},
        "seen no more": "2025",
    }
    server.say(
        page(
            profile(7, **odd),
            profile("7", twin=True),
            {"$distinct_id": "bare"},
            profile("lost", seen="some day"),
            *(profile(text, seen=text) for text in seen),
        )
    )
    workspace.fetch_profiles()
    assert stored(workspace) == {
        "7": (odd, None),
        "bare": ({}, None),
        "lost": ({"$last_seen": "some day"}, None),
        **{text: ({}, instant) for text, instant in seen.items()},
    }


def test_half_a_character_does_not_lose_a_page(workspace: Workspace, server: ScriptedServer) -> None:
    body = (
        rb'{"page": 0, "total": 1, "results": [{"$distinct_id": "a", "$properties": '
        rb'{"cut": "x\ud83d", "low": "\uDE00y", "whole": "\ud83d\ude00", "text": "\\ud83d", "n": 1e5}}]}'
    )
    server.say(Reply(body=body))
    workspace.fetch_profiles()
    assert stored(workspace)["a"][0] == {
        "cut": "x\ufffd",
        "low": "\ufffdy",
        "whole": "😀",
        "text": "\\ud83d",
        "n": 1e5,
    }


def numbered(first: int, count: int) -> list[Profile]:
    return [profile(f"u{number}") for number in range(first, first + count)]


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ([page(*numbered(0, 2), total=None, page_size=2), page(*numbered(2, 1), page=1, page_size=2)], 3),
        ([page(*numbered(0, 2), total=2, page_size=2), page(*numbered(2, 2), page=1, page_size=2), page(page=2)], 4),
        ([page(*numbered(0, 2), total=4, page_size=2), page(*numbered(2, 2), page=1, page_size=2, total=None)], 4),
        ([page(*numbered(0, 3), page_size=None)], 3),
        ([page()], 0),
    ],
    ids=["no total", "total of the page", "total once", "no size", "nobody"],
)
def test_the_last_page_is_found_whatever_total_means(
    workspace: Workspace, server: ScriptedServer, answers: list[Reply], found: int, parallel: bool
) -> None:
    server.say(*answers)
    workspace.fetch_profiles(parallel=parallel)
    assert stored(workspace).keys() == {f"u{number}" for number in range(found)}
    assert len(server.received) == len(answers)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b'{"status": "ok"}',
        b'{"results": {}}',
        b'{"results": [1]}',
        b'{"results": [{"$properties": {}}]}',
        b'{"results": [{"$distinct_id": "a", "$properties": []}]}',
        b'{"results": [], "page": 4}',
        b'{"error": "where: unknown variable", "status": "error"}',
        b'{"results": [' + b"[" * 100_000,
    ],
)
def test_what_is_no_page_is_an_error_and_leaves_nothing(
    workspace: Workspace, server: ScriptedServer, body: bytes
) -> None:
    server.say(Reply(body=body))
    for ask in (workspace.fetch_profiles, lambda: list(workspace.stream_profiles())):
        with pytest.raises(APIError):
            ask()
    assert nothing_is_left(workspace)


def test_a_page_that_fails_is_told_and_nothing_is_stored(workspace: Workspace, server: ScriptedServer) -> None:
    server.say(page(profile("a"), page_size=1, total=2), Reply(500, b'{"error": "internal"}'))
    told: list[ProfileProgress] = []
    result = workspace.fetch_profiles(parallel=True, on_page_complete=told.append)
    assert isinstance(result, ParallelProfileResult)
    assert (result.has_failures, result.failed_page_indices, result.total_rows) == (True, (1,), 0)
    assert result.error is not None
    assert "fetch again" in result.error
    assert [(one.page_index, one.success) for one in told] == [(0, True), (1, False)]
    assert "500" in str(told[1].error)
    assert nothing_is_left(workspace)


def forgetting(emulator: Emulator, times: int) -> Callable[[ProfileProgress], None]:
    """Has the emulator forget its answers when the first page has come, so often."""
    left = [times]

    def forget(told: ProfileProgress) -> None:
        if told.page_index == 0 and left[0]:
            left[0] -= 1
            control(emulator, "POST", "reset")

    return forget


@pytest.mark.parametrize("parallel", [False, True])
def test_when_mixpanel_forgets_the_answer_it_is_asked_again_once(
    users: Workspace, population: Emulator, everybody: list[Profile], parallel: bool
) -> None:
    users.fetch_profiles(parallel=parallel, on_page_complete=forgetting(population, 1))
    assert stored(users) == expected(everybody)
    with pytest.raises(QueryError, match="session"):
        users.fetch_profiles("other", parallel=parallel, on_page_complete=forgetting(population, 2))
    assert [table.name for table in users.tables()] == ["profiles"]


# Each kind in one way, and in the other way where that takes its time.
WAYS = [
    pytest.param(kind, parallel, marks=[] if parallel == bool(number % 2) else pytest.mark.soak)
    for number, kind in enumerate(KINDS)
    for parallel in (False, True)
]


@pytest.mark.parametrize(("kind", "parallel"), WAYS)
def test_whatever_goes_wrong_the_table_is_right_or_absent(
    users: Workspace, population: Emulator, everybody: list[Profile], kind: str, parallel: bool
) -> None:
    value = {"latency": 50, "slow": 1, "stall": 3000, "reset": 3000, "cut": 3000}.get(kind)
    rule = {"kind": kind, "value": value, "path": "*/engage", "skip": 1, "count": 1}
    made = control(population, "POST", "faults", {name: given for name, given in rule.items() if given is not None})
    problem: str | None = None
    try:
        result = users.fetch_profiles(parallel=parallel)
        problem = result.error if isinstance(result, ParallelProfileResult) else None
    except MixpanelDataError as error:
        problem = error.message
    rules = {one["id"]: one["hits"] for one in control(population, "GET", "faults")["faults"]}
    assert rules[made["id"]] == 1, "it did go wrong"
    if users.tables():
        assert problem is None
        assert stored(users) == expected(everybody)
    else:
        assert problem
        assert nothing_is_left(users)
        users.fetch_profiles(parallel=parallel)
        assert stored(users) == expected(everybody), "and the next try works"


def test_a_page_is_what_the_contract_says() -> None:
    told = profiles.decoded({"results": numbered(0, 2), "session_id": "s", "total": 5, "page_size": 2, "page": 0}, 0)
    assert told == ProfilePageResult(tuple(numbered(0, 2)), "s", 0, True, 5, 2)
    assert told.num_pages == 3
    assert told.to_dict() == {
        "profiles": numbered(0, 2),
        "session_id": "s",
        "page": 0,
        "has_more": True,
        "total": 5,
        "page_size": 2,
        "profile_count": 2,
        "num_pages": 3,
    }


def test_the_ledger_knows_what_was_asked_for(workspace: Workspace, server: ScriptedServer) -> None:
    server.say(page(profile("a")))
    workspace.fetch_profiles(where='properties["plan"] == "pro"', output_properties=["plan"])
    told = workspace.storage.get_metadata("profiles")
    assert (told.type, told.filter_where, told.filter_output_properties, told.filter_events, told.from_date) == (
        "profiles",
        'properties["plan"] == "pro"',
        ["plan"],
        None,
        None,
    )
    entries = workspace.sql_rows('select type, state, rows from "_ledger"')
    assert entries.rows == (("profiles", "complete", 1),)

"""Names of events: all of them, whatever the plan allows, sorted."""

from __future__ import annotations

import json

import pytest

from mixpanel_data import APIError, MixpanelAPIClient, QueryError, Workspace
from mixpanel_data.discovery import event_names
from tests.support.emulator import Emulator
from tests.support.scripted_http import Reply, ScriptedServer


def test_the_emulators_names_come_sorted_and_are_asked_for_once(live_workspace: Workspace, emulator: Emulator) -> None:
    names = live_workspace.events()
    assert names == sorted(set(names))
    assert {"Sign Up", "Purchase"} <= set(names)
    names.append("mine")
    before = len(emulator.requests())
    assert "mine" not in live_workspace.events()
    assert len(emulator.requests()) == before
    live_workspace.clear_discovery_cache()
    live_workspace.events()
    assert len(emulator.requests()) == before + 1


def test_all_days_are_asked_for(
    client: MixpanelAPIClient, server: ScriptedServer, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("MP_NOW", "2025-06-30")
    server.say(Reply(body=b'["b", "a"]'))
    assert event_names(client) == ["a", "b"]
    asked = server.received[0].parameters
    assert (asked["from_date"], asked["to_date"], asked["limit"]) == ("2000-01-01", "2025-06-30", "5000")


def test_a_plan_with_a_short_history_is_asked_for_what_it_has(
    client: MixpanelAPIClient, server: ScriptedServer, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("MP_NOW", "2025-06-30")
    refusal = Reply(403, json.dumps({"error": "Date range exceeds 90 days into the past"}).encode())
    server.say(refusal, Reply(body=b'["a"]'))
    assert event_names(client) == ["a"]
    assert server.received[1].parameters["from_date"] == "2025-04-01"


def test_another_refusal_is_not_asked_twice(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    server.say(Reply(403, b'{"error": "Permission denied"}'))
    with pytest.raises(QueryError, match="Permission denied"):
        event_names(client)
    assert len(server.received) == 1


@pytest.mark.parametrize("body", [b"{}", b"[1]", b'"a"', b"null", b'[["a"]]'])
def test_another_shape_is_an_api_error(client: MixpanelAPIClient, server: ScriptedServer, body: bytes) -> None:
    server.say(Reply(body=body))
    with pytest.raises(APIError, match="list of names"):
        event_names(client)

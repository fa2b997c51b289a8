"""Lexicon: what the data set wrote there, and every layout that an entry comes in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mixpanel_data import APIError, InvalidArgumentError, MixpanelAPIClient, QueryError, Workspace
from mixpanel_data.lexicon import schema, schemas
from tests.support.emulator import Emulator
from tests.support.scripted_http import Reply, ScriptedServer

DEFINITION: dict[str, Any] = {
    "$schema": "http://json-schema.org/draft-07/schema",
    "description": "A track was started",
    "properties": {
        "artist": {"type": "string", "description": "Artist name", "metadata": {"com.mixpanel": {"displayName": "A"}}},
        "stars": {"type": "integer"},
    },
    "metadata": {
        "com.mixpanel": {
            "displayName": "Song played", "tags": ["core"], "hidden": True, "dropped": False,
            "contacts": ["ada@example.test"], "teamContacts": ["Data"], "$source": "api",
        },
        "other": 1,
    },
}  # fmt: skip
ENTRY = {"entityType": "event", "name": "Song Played", "schemaJson": DEFINITION}
NOTHING: dict[str, Any] = {
    "source": None, "display_name": None, "tags": [], "hidden": False, "dropped": False, "contacts": [],
    "team_contacts": [],
}  # fmt: skip


def answered(server: ScriptedServer, answer: object) -> None:
    server.say(Reply(body=json.dumps(answer).encode()))


def test_entries_are_those_of_the_data_set(live_workspace: Workspace, emulator: Emulator) -> None:
    found = live_workspace.lexicon_schemas()
    assert [(row.entity_type, row.name) for row in found] == sorted((row.entity_type, row.name) for row in found)
    events = [row for row in found if row.entity_type == "event"]
    assert {row.name for row in events} == set(live_workspace.events())
    purchase = next(row for row in events if row.name == "Purchase")
    assert purchase.schema_json.properties["amount"].type == "number"
    assert live_workspace.lexicon_schemas(entity_type="event") == events
    assert [row.name for row in live_workspace.lexicon_schemas(entity_type="profile")] == ["$user"]
    assert live_workspace.lexicon_schema("event", "Purchase") == purchase
    assert set(live_workspace.properties("Purchase")) - {"mp_processing_time_ms"} <= set(
        purchase.schema_json.properties
    )
    before = emulator.requests()
    live_workspace.lexicon_schemas().clear()
    assert live_workspace.lexicon_schemas() == found
    assert live_workspace.lexicon_schema("event", "Purchase") == purchase
    assert emulator.requests_since(before) == []
    with pytest.raises(QueryError) as caught:
        live_workspace.lexicon_schema("event", "Never / Happened?")
    assert caught.value.status_code == 404


@pytest.mark.parametrize(
    "answer",
    [
        {"status": "ok", "results": DEFINITION},
        {"status": "ok", "results": ENTRY},
        {"status": "ok", "results": [{**ENTRY, "name": "Another"}, ENTRY]},
        DEFINITION,
    ],
    ids=["definition", "entry", "list", "bare"],
)
def test_one_entry_in_any_layout(client: MixpanelAPIClient, server: ScriptedServer, answer: object) -> None:
    answered(server, answer)
    got = schema(client, "event", "Song Played")
    assert got.to_dict() == {
        "entity_type": "event",
        "name": "Song Played",
        "schema_json": {
            "description": "A track was started",
            "properties": {
                "artist": {
                    "type": "string",
                    "description": "Artist name",
                    "metadata": {**NOTHING, "display_name": "A"},
                },
                "stars": {"type": "integer"},
            },
            "metadata": {
                "source": "api", "display_name": "Song played", "tags": ["core"], "hidden": True, "dropped": False,
                "contacts": ["ada@example.test"], "team_contacts": ["Data"],
            },
        },
    }  # fmt: skip
    assert server.received[0].path == "/api/app/projects/4100200/schemas/event"
    assert server.received[0].parameters == {"entity_name": "Song Played"}


def test_a_list_without_the_entry_is_a_404(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    answered(server, {"results": [{**ENTRY, "entityType": "profile"}]})
    with pytest.raises(QueryError, match="no event 'Song Played'") as caught:
        schema(client, "event", "Song Played")
    assert caught.value.status_code == 404


def test_kinds_that_are_not_ours_are_listed_too(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    answered(server, {"results": [{"entityType": "custom_event", "name": "b", "schemaJson": {}}, ENTRY]})
    assert [row.entity_type for row in schemas(client)] == ["custom_event", "event"]
    assert schemas(client)[0].to_dict()["schema_json"] == {"properties": {}}


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        (3, r"results\[0\] is a number"),
        ({**ENTRY, "name": None}, r"results\[0\].name"),
        ({**ENTRY, "schemaJson": []}, "schemaJson is a list"),
        ({**ENTRY, "schemaJson": {"properties": {"a": {"type": ["x"]}}}}, "properties.a.type is a list"),
        ({**ENTRY, "schemaJson": {"metadata": {"com.mixpanel": {"tags": "core"}}}}, "tags is a text"),
        ({**ENTRY, "schemaJson": {"metadata": {"com.mixpanel": {"hidden": "no"}}}}, "hidden is a text"),
    ],
)
def test_another_shape_names_the_place(
    client: MixpanelAPIClient, server: ScriptedServer, entry: object, place: str
) -> None:
    answered(server, {"results": [entry]})
    with pytest.raises(APIError, match=place):
        schemas(client)


def test_wrong_arguments(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    with pytest.raises(InvalidArgumentError, match="entity_type"):
        schemas(client, "user")
    with pytest.raises(InvalidArgumentError, match="entity_type"):
        schema(client, "group", "x")
    with pytest.raises(InvalidArgumentError, match="name"):
        schema(client, "event", "")
    assert not server.received

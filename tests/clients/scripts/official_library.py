"""Mixpanel's own Python library: what it can send, sent."""

import json
import os
import sys
from datetime import UTC, datetime

# In an environment of its own, which the type checker does not look into.
from mixpanel import BufferedConsumer, Consumer, Mixpanel, MixpanelException  # type: ignore[import-not-found]
from mixpanel.credentials import ServiceAccountCredentials  # type: ignore[import-not-found]

BASE = os.environ["MP_API_BASE_URL"]
# `api_host` would be reached by https only; the four URLs may be any.
URLS = {
    "events_url": f"{BASE}/track",
    "people_url": f"{BASE}/engage",
    "groups_url": f"{BASE}/groups",
    "import_url": f"{BASE}/import",
}
TOKEN = os.environ["MP_TOKEN"]


def sent_one_by_one() -> None:
    client = Mixpanel(TOKEN, consumer=Consumer(**URLS))
    client.track(
        "ada", "Client Tracked", {"color": "blue", "when": datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC), "n": 1.5}
    )
    client.track("ada", "Client Tracked", {"color": "grün", "$insert_id": "the-same"})
    client.track("ada", "Client Tracked", {"color": "grün", "$insert_id": "the-same"})


def identities() -> None:
    """What `alias` and `merge` send; `alias` itself makes a consumer of its own for Mixpanel's host."""
    account = ServiceAccountCredentials(
        username=os.environ["MP_USERNAME"], secret=os.environ["MP_SECRET"], project_id=os.environ["MP_PROJECT_ID"]
    )
    consumer = Consumer(credentials=account, **URLS)
    alias = {"event": "$create_alias", "properties": {"distinct_id": "ada", "alias": "ada-alias", "token": TOKEN}}
    consumer.send("events", json.dumps(alias))
    Mixpanel(TOKEN, consumer=consumer).merge(None, "ada", "bob")


def people() -> None:
    client = Mixpanel(TOKEN, consumer=Consumer(**URLS))
    client.people_set("ada", {"$name": "Ada", "plan": "pro", "born": datetime(1990, 1, 2, 3, 4, 5, tzinfo=UTC)})
    client.people_set_once("ada", {"plan": "free", "source": "friend"})
    client.people_increment("ada", {"visits": 3})
    client.people_increment("ada", {"visits": -1})
    client.people_append("ada", {"tags": "x"})
    client.people_append("ada", {"tags": "x"})
    client.people_union("ada", {"tags": ["x", "y"], "seen": ["a"]})
    client.people_remove("ada", {"seen": "a"})
    client.people_track_charge("ada", 12.5, {"$time": "2025-01-02T03:04:05"})
    client.people_set("ada", {"gone": 1})
    client.people_unset("ada", ["gone"])
    client.people_set("bob", {"plan": "free", "$ip": "203.0.113.7"}, meta={"$ignore_time": True})
    client.people_track_charge("bob", 1)
    client.people_clear_charges("bob")
    client.people_set("cy", {"plan": "free"})
    client.people_delete("cy")


def groups() -> None:
    client = Mixpanel(TOKEN, consumer=Consumer(**URLS))
    client.group_set("company", "Acme", {"seats": 5, "tags": ["a"]})
    client.group_set_once("company", "Acme", {"seats": 9, "city": "Lyon"})
    client.group_union("company", "Acme", {"tags": ["a", "b"]})
    client.group_remove("company", "Acme", {"tags": "a"})
    client.group_set("company", "Bolt", {"old": 1, "new": 2})
    client.group_unset("company", "Bolt", ["old"])
    client.group_set("company", "Gone", {"a": 1})
    client.group_delete("company", "Gone")


def imported() -> None:
    """Many in each request, with the service account, and one by itself, with the project secret."""
    account = ServiceAccountCredentials(
        username=os.environ["MP_USERNAME"], secret=os.environ["MP_SECRET"], project_id=os.environ["MP_PROJECT_ID"]
    )
    buffered = BufferedConsumer(max_size=40, credentials=account, **URLS)
    client = Mixpanel(TOKEN, consumer=buffered)
    for number in range(100):
        client.import_data(None, f"u{number % 7}", "Client Imported", int(sys.argv[2]) + number, {"number": number})
    buffered.flush()
    Mixpanel(TOKEN, consumer=Consumer(**URLS)).import_data(
        "legacy key", "u1", "Client Imported", int(sys.argv[2]), {"number": 100}, api_secret=sys.argv[3]
    )


def refused() -> str:
    """What the library makes of a refusal."""
    try:
        Mixpanel(TOKEN, consumer=Consumer(**URLS)).track("ada", "Client Tracked", {"time": "yesterday"})
    except MixpanelException as error:
        return str(error)
    raise AssertionError("a time that is none went through")


PARTS = {
    "track": sent_one_by_one,
    "identities": identities,
    "people": people,
    "groups": groups,
    "import": imported,
    "refused": refused,
}
sys.stdout.write(json.dumps(PARTS[sys.argv[1]]()))

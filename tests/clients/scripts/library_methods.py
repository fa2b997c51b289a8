"""Mixpanel's own Python library: each public method called once, and how it went."""

import inspect
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

# In an environment of its own, which the type checker does not look into.
from mixpanel import BufferedConsumer, Mixpanel, MixpanelException  # type: ignore[import-not-found]
from mixpanel.credentials import ServiceAccountCredentials  # type: ignore[import-not-found]

BASE = os.environ["MP_API_BASE_URL"]
TOKEN = os.environ["MP_TOKEN"]
account = ServiceAccountCredentials(
    username=os.environ["MP_USERNAME"], secret=os.environ["MP_SECRET"], project_id=os.environ["MP_PROJECT_ID"]
)
consumer = BufferedConsumer(
    credentials=account,
    events_url=f"{BASE}/track",
    people_url=f"{BASE}/engage",
    groups_url=f"{BASE}/groups",
    import_url=f"{BASE}/import",
)
made = Mixpanel(TOKEN, consumer=consumer)
acme = ("company", "Acme")

CALLS: dict[str, Callable[[], Any]] = {
    "track": lambda: made.track("ada", "Tracked", {"a": 1}),
    "import_data": lambda: made.import_data(None, "ada", "Imported", int(time.time()) - 9, {"a": 1}),
    "merge": lambda: made.merge(None, "ada", "bob"),
    "people_update": lambda: made.people_update({"$distinct_id": "ada", "$set": {"a": 1}}),
    "people_set": lambda: made.people_set("ada", {"a": 1}),
    "people_set_once": lambda: made.people_set_once("ada", {"b": 1}),
    "people_increment": lambda: made.people_increment("ada", {"n": 2}),
    "people_append": lambda: made.people_append("ada", {"list": "x"}),
    "people_union": lambda: made.people_union("ada", {"list": ["x", "y"]}),
    "people_remove": lambda: made.people_remove("ada", {"list": "x"}),
    "people_unset": lambda: made.people_unset("ada", ["b"]),
    "people_track_charge": lambda: made.people_track_charge("ada", 3.5),
    "people_clear_charges": lambda: made.people_clear_charges("ada"),
    "people_delete": lambda: made.people_delete("cy"),
    "group_update": lambda: made.group_update({"$group_key": "company", "$group_id": "Acme", "$set": {"a": 1}}),
    "group_set": lambda: made.group_set(*acme, {"seats": 4}),
    "group_set_once": lambda: made.group_set_once(*acme, {"city": "Lyon"}),
    "group_union": lambda: made.group_union(*acme, {"tags": ["x"]}),
    "group_remove": lambda: made.group_remove(*acme, {"tags": "x"}),
    "group_unset": lambda: made.group_unset(*acme, ["city"]),
    "group_delete": lambda: made.group_delete("company", "Gone"),
}


def outcome(name: str) -> str:
    """`works`, or what became of it."""
    if name not in CALLS:
        return "not called"
    try:
        CALLS[name]()
        consumer.flush()
    except MixpanelException as error:
        return str(error)
    return "works"


public = [name for name, _ in inspect.getmembers(Mixpanel, inspect.isfunction) if not name.startswith("_")]
sys.stdout.write(json.dumps({name: outcome(name) for name in public}))

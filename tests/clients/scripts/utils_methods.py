"""mixpanel-utils: each public method called once, and how it went."""

import contextlib
import inspect
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

# In an environment of its own, which the type checker does not look into.
from mixpanel_utils import MixpanelUtils  # type: ignore[import-not-found]

DAYS = {"from_date": "2025-06-10", "to_date": "2025-06-29"}
WHERE = {"where": 'properties["plan"] == "pro"', "page_size": 50}
JQL = 'function main() { return People().filter(p => p.properties.plan == "pro").map(p => p.distinct_id) }'
COUNTS = """function main() { return Events({from_date: "2025-06-29", to_date: "2025-06-29"})
    .groupByUser(mixpanel.reducer.count()).map(each => ({distinct_id: each.key[0], value: each.value})) }"""

made = MixpanelUtils(
    os.environ["MP_SECRET"],
    token=os.environ["MP_TOKEN"],
    service_account_username=os.environ["MP_USERNAME"],
    project_id=int(os.environ["MP_PROJECT_ID"]),
    pool_size=2,
)
made.raw_api = made.formatted_api = f"{os.environ['MP_API_BASE_URL']}/api"
made.import_api = os.environ["MP_API_BASE_URL"]
folder = Path(tempfile.mkdtemp(dir=os.environ["HOME"]))
one = [{"$distinct_id": "new", "$properties": {"plan": "pro", "n": 3, "$email": "a@example.test"}}]
two = [*one, {"$distinct_id": "old", "$properties": {"plan": "pro", "n": 1, "$email": "a@example.test"}}]
to = {"profiles": one, "backup": False}


def written(name: str, call: Callable[[str], Any]) -> Any:
    """What stands in the file that a call wrote."""
    path = folder / f"{name}.json"
    call(str(path))
    return json.loads(path.read_text())


CALLS: dict[str, Callable[[], Any]] = {
    "request": lambda: made.request(made.formatted_api, ["events", "names"], {"limit": 5}),
    "query_export": lambda: made.query_export({**DAYS, "event": ["Purchase"]}),
    "query_engage": lambda: made.query_engage(dict(WHERE)),
    "query_jql": lambda: made.query_jql(JQL),
    "query_jql_events": lambda: made.query_jql_events(
        DAYS["from_date"], DAYS["to_date"], event_selectors={"event": "Purchase"}
    ),
    "query_jql_people": lambda: made.query_jql_people('user["plan"] == "pro"'),
    "export_data": lambda: written("data", lambda path: made.export_data([{"a": 1}], path)),
    "export_events": lambda: written("events", lambda path: made.export_events(path, dict(DAYS))),
    "export_people": lambda: written("people", lambda path: made.export_people(path, dict(WHERE))),
    "export_jql_events": lambda: written(
        "jql_events", lambda path: made.export_jql_events(path, DAYS["from_date"], DAYS["to_date"])
    ),
    "export_jql_people": lambda: written("jql_people", made.export_jql_people),
    "import_events": lambda: made.import_events(
        [{"event": "Now", "properties": {"distinct_id": "u", "time": 1751200000, "$insert_id": "i"}}],
        timezone_offset=0,
    ),
    "import_people": lambda: made.import_people(two),
    "people_operation": lambda: made.people_operation("$set", {"a": 1}, **to),
    "people_set": lambda: made.people_set({"a": 1}, **to),
    "people_set_once": lambda: made.people_set_once({"b": 1}, profiles=one),
    "people_add": lambda: made.people_add({"n": 1}, **to),
    "people_append": lambda: made.people_append({"list": "x"}, **to),
    "people_union": lambda: made.people_union({"list": ["x"]}, **to),
    "people_remove": lambda: made.people_remove({"list": "x"}, **to),
    "people_unset": lambda: made.people_unset(["a"], **to),
    "people_change_property_name": lambda: made.people_change_property_name("n", "m", **to),
    "people_revenue_property_from_transactions": lambda: made.people_revenue_property_from_transactions(**to),
    "sum_transactions": lambda: made.sum_transactions({"$properties": {"$transactions": [{"$amount": 3}]}}),
    "deduplicate_people": lambda: made.deduplicate_people(profiles=two, backup=False),
    "jql_operation": lambda: made.jql_operation(
        COUNTS, "$set", update_value=lambda found: {"events": found["value"]}, backup=False
    ),
    "event_counts_to_people": lambda: made.event_counts_to_people("2025-06-28", ["Purchase"]),
    "people_delete": lambda: made.people_delete(**to),
}


def outcome(name: str) -> str:
    """`works`, or what became of it."""
    if name not in CALLS:
        return "not called"
    try:
        result = CALLS[name]()
    except Exception as error:  # noqa: BLE001  whatever it raises is what this is about
        return f"{type(error).__name__}: {error}"
    return "nothing came" if name.startswith(("query", "export", "request")) and not result else "works"


public = [name for name, _ in inspect.getmembers(MixpanelUtils, callable) if not name.startswith("_")]
ordered = [*(name for name in CALLS if name in public), *(name for name in public if name not in CALLS)]
with contextlib.redirect_stdout(sys.stderr):
    results = {name: outcome(name) for name in ordered}
sys.stdout.write(json.dumps(results))

"""mixpanel-utils: reading, asking and writing, through its own methods."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# In an environment of its own, which the type checker does not look into.
from mixpanel_utils import MixpanelUtils  # type: ignore[import-not-found]

BASE = os.environ["MP_API_BASE_URL"]
FIRST, LAST = "2025-06-10", "2025-06-29"


def client(**more: Any) -> Any:
    made = MixpanelUtils(
        os.environ["MP_SECRET"],
        token=os.environ["MP_TOKEN"],
        service_account_username=os.environ["MP_USERNAME"],
        project_id=int(os.environ["MP_PROJECT_ID"]),
        pool_size=2,
        **more,
    )
    return here(made)


def here(made: Any) -> Any:
    """Its three hosts are attributes without a parameter."""
    made.raw_api = made.formatted_api = f"{BASE}/api"
    made.import_api = BASE
    return made


def export() -> Any:
    days = {"from_date": FIRST, "to_date": LAST}
    some = {**days, "event": ["Purchase", "Sign Up"], "where": 'properties["$os"] == "iOS"'}
    folder = Path(sys.argv[2])
    client().export_events(str(folder / "raw.jsonl"), days, raw_stream=True, add_gzip_header=True)
    client().export_events(str(folder / "by_day.json"), {**days, "from_date": "2025-06-28"}, request_per_day=True)
    client().export_events(str(folder / "some.csv"), dict(some), format="csv", compress=True)
    by_secret = here(MixpanelUtils(sys.argv[3]))
    return {"some": client().query_export(dict(some)), "by_secret": len(by_secret.query_export(dict(some)))}


def people() -> Any:
    asked = client()
    buyers = {
        "behaviors": [{"window": "30d", "name": "bought", "event_selectors": [{"event": "Purchase"}]}],
        "where": '(behaviors["bought"] > 1)',
        "page_size": 3,
    }
    # The library adds its own clock's time to the offset, which is a project's distance from UTC, in hours.
    offset_h = (int(sys.argv[2]) - int(time.time())) / 3600
    some = {"where": 'properties["plan"] == "pro"', "output_properties": ["plan", "$email"], "page_size": 7}
    return {
        "all": asked.query_engage({"page_size": 100}),
        "some": asked.query_engage(some),
        "cohort": ids(asked.query_engage({"filter_by_cohort": json.dumps({"id": 3003})})),
        "buyers": ids(asked.query_engage(buyers, timezone_offset=offset_h)),
    }


def ids(profiles: list[dict[str, Any]]) -> list[str]:
    return [profile["$distinct_id"] for profile in profiles]


def jql() -> Any:
    asked = client()
    script = """
        function main() {
          return Events({from_date: params.from, to_date: params.to, event_selectors: [{event: "Purchase"}]})
            .groupBy([mixpanel.numeric_bucket("time", mixpanel.daily_time_buckets), "properties.$os"],
                     [mixpanel.reducer.count(), mixpanel.reducer.sum("properties.amount")]);
        }"""
    return {
        "grouped": asked.query_jql(script, {"from": FIRST, "to": LAST}),
        "events": asked.query_jql_events(
            FIRST, LAST, event_selectors={"event": "Purchase"}, output_properties=["amount", "$os"]
        ),
        "people": asked.query_jql_people('user["plan"] == "pro"', output_properties=["plan"]),
    }


def write() -> Any:
    made = client()
    start = int(sys.argv[2])
    events = [
        {
            "event": "Utils Imported",
            "properties": {"distinct_id": f"u{n % 5}", "time": start + n + 7200, "$insert_id": f"utils-{n}", "n": n},
        }
        for n in range(4100)
    ]
    made.import_events(events, timezone_offset=2)
    made.import_events(events[:100], timezone_offset=2)
    made.import_people([{"$distinct_id": f"u{n}", "$properties": {"plan": "pro", "n": n}} for n in range(5)])
    pro = {"where": 'properties["plan"] == "pro" and properties["n"] >= 1'}
    touched = [
        made.people_set({"seen": True}, query_params=dict(pro), backup=False),
        made.people_set(
            lambda profile: {"twice": profile["$properties"]["n"] * 2}, query_params=dict(pro), backup=False
        ),
        made.people_add({"n": 100}, profiles=[{"$distinct_id": "u1"}], backup=False),
        made.people_append({"list": "a"}, profiles=[{"$distinct_id": "u1"}], backup=False),
        made.people_union({"list": ["a", "b"]}, profiles=[{"$distinct_id": "u1"}], backup=False),
        made.people_remove({"list": "a"}, profiles=[{"$distinct_id": "u1"}], backup=False),
        made.people_set_once({"plan": "free", "once": 1}, profiles=[{"$distinct_id": "u1"}]),
        made.people_unset(["seen"], profiles=[{"$distinct_id": "u2"}], backup=False),
        made.people_change_property_name(
            "n", "number", profiles=[{"$distinct_id": "u3", "$properties": {"n": 3}}], backup=False
        ),
        made.people_delete(profiles=[{"$distinct_id": "u4"}], backup=False),
    ]
    return {"touched": touched}


PARTS: dict[str, Callable[[], Any]] = {"export": export, "people": people, "jql": jql, "write": write}
sys.stdout.write(json.dumps(PARTS[sys.argv[1]]()))

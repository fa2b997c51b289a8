"""Count what the suite's cases expect: from raw events and profiles in plain Python, never from a tool's answer.

    python -m tests.harness.suite.facts      # writes fixtures/cassettes/facts.json

Days and weeks are those of the project, UTC.
"""

import base64
import json
import tempfile
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from fixtures.dataset import truths
from tests.support.brute_force import RawEvent, between, daily_counts, daily_counts_by, day_of
from tests.support.emulator import Emulator, running_emulator

FILE = Path(__file__).parents[3] / "fixtures" / "cassettes" / "facts.json"
SEED, USERS, DAYS = 7, 2000, 60
LAST_DAY = "2025-06-30"
FIRST_DAY = "2025-05-02"
JUNE = ("2025-06-01", LAST_DAY)
NOT_A_PROPERTY = {"time", "distinct_id", "$insert_id"}
TYPES = {str: "string", bool: "boolean", int: "number", float: "number", list: "array", dict: "object"}
DAY_S = 86400

Raw = list[RawEvent]


def facts(events: Raw, profiles: Raw) -> dict[str, Any]:
    """Every fact by its name."""
    june = between(events, *JUNE)
    found: dict[str, Any] = {"events": sorted({event["event"] for event in events})}
    for part in (names, counts, journeys, exports, local):
        found |= part(events, june)
    return dict(sorted((found | people(profiles) | saved() | planted() | cohorts(events)).items()))


def names(events: Raw, june: Raw) -> dict[str, Any]:
    """What there is: properties and their types, values, today's events."""
    sign_ups = [event["properties"] for event in events if event["event"] == "Sign Up"]
    kinds = {key: TYPES[type(value)] for each in sign_ups for key, value in each.items() if key not in NOT_A_PROPERTY}
    browsers = Counter(each["$browser"] for each in sign_ups if "$browser" in each)
    today = Counter(event["event"] for event in events if day_of(event) == LAST_DAY)
    yesterday = Counter(event["event"] for event in events if day_of(event) == "2025-06-29")
    return {
        "properties/Sign Up": [{"name": name, "type": kinds[name]} for name in sorted(kinds)],
        "values/Sign Up/$browser": [value for value, _ in browsers.most_common()],
        "today": [
            {"event": name, "count": number, "percent_change": number / yesterday[name] - 1}
            for name, number in today.most_common(5)
        ],
    }


def counts(events: Raw, june: Raw) -> dict[str, Any]:
    """Events and users over time."""
    by_browser = daily_counts_by(june, "Sign Up", "$browser", *JUNE)
    weekly: Counter[str] = Counter()
    users: dict[str, dict[str, set[str]]] = {name: defaultdict(set) for name in ("Sign Up", "Purchase")}
    active: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    systems: Counter[str] = Counter()
    for event in june:
        properties, name = event["properties"], event["event"]
        if name == "Purchase":
            systems[properties["$os"]] += 1
            weekly[monday(event)] += properties["mp_country_code"] == "US"
        if name in users:
            users[name][monday(event)].add(properties["distinct_id"])
        if name == "App Open":
            active[monday(event)][properties["distinct_id"]].add(day_of(event))
    weeks = sorted({monday(event) for event in june})
    viewed = between(events, "2025-06-28", LAST_DAY, "View Item")
    return {
        "segmentation/Sign Up/$browser": by_browser,
        "segmentation/Sign Up/total": sum(sum(days.values()) for days in by_browser.values()),
        "segmentation/Search": daily_counts(june, "Search", *JUNE),
        "segmentation/Purchase/US": {week: weekly[week] for week in weeks},
        "event_counts/unique": {name: {week: len(found[week]) for week in weeks} for name, found in users.items()},
        "property_counts/Purchase/$os": {value: {"2025-06-01": number} for value, number in systems.items()},
        "frequency/App Open": {
            week: [sum(len(days) >= n for days in found.values()) for n in range(1, 8)]
            for week, found in active.items()
        },
        "jql/counts": [
            {"key": [name], "value": number} for name, number in Counter(event["event"] for event in june).items()
        ],
        "events/View Item/last three days": len(viewed),
        "cities of View Item": len({event["properties"].get("$city") for event in viewed}),
        "users of Purchase/last week/text": str(
            len({event["properties"]["distinct_id"] for event in between(events, "2025-06-24", LAST_DAY, "Purchase")})
        ),
    }


def journeys(events: Raw, june: Raw) -> dict[str, Any]:
    """What single users did in turn."""
    steps = ["Sign Up", "View Item", "Add to Cart", "Checkout", "Purchase"]
    reached = [0] * len(steps)
    sizes: Counter[str] = Counter()
    back: dict[str, list[set[str]]] = defaultdict(lambda: [set(), set(), set()])
    for user, done in by_user(june).items():
        begun = next((time for time, name in done if name == steps[0]), None)
        if begun is None:
            continue
        for step in range(furthest(done, steps, begun) + 1):
            reached[step] += 1
        day = datetime.fromtimestamp(begun, UTC).date().isoformat()
        sizes[day] += 1
        for time, name in done:
            interval = int((time - begun) // DAY_S)
            if name == "App Open" and 0 <= interval < 3:
                back[day][interval].add(user)
    week = between(events, "2025-06-24", LAST_DAY)
    busiest, number = Counter(event["properties"]["distinct_id"] for event in week if user_of(event)).most_common(1)[0]
    own = sorted((event for event in week if user_of(event) == busiest), key=seconds)
    return {
        "funnel/counts": reached,
        "funnel/converted": reached[-1],
        "funnel/rates": [1.0, *(after / before for before, after in pairwise(reached))],
        "funnel/rate": reached[-1] / reached[0],
        "retention/Sign Up to App Open": [
            {"date": day, "size": size, "retention": [len(users) / size for users in back[day]]}
            for day, size in sorted(sizes.items())
        ],
        "busiest": busiest,
        "busiest/number": number,
        "busiest/events": [event["event"] for event in own],
        "busiest/last three": [event["event"] for event in own[-3:]],
    }


def furthest(done: list[tuple[float, str]], steps: list[str], begun: float) -> int:
    """The last step that a user reached in order, within seven days of the first."""
    at, number = begun, 0
    for time, name in done:
        if number + 1 < len(steps) and name == steps[number + 1] and at <= time <= begun + 7 * DAY_S:
            at, number = time, number + 1
    return number


def exports(events: Raw, june: Raw) -> dict[str, Any]:
    """How many raw events there are."""
    day = between(events, LAST_DAY, LAST_DAY)
    two = [event for event in day if event["event"] in ("Purchase", "App Open")]
    few = [event for event in between(events, "2025-06-29", LAST_DAY) if event["event"] in ("Purchase", "Add to Cart")]
    few_today = [event for event in few if day_of(event) == LAST_DAY]
    return {
        "export/last day": len(day),
        "export/last day/London": len([event for event in day if event["properties"].get("$city") == "London"]),
        "export/last two days/few": len(few),
        "export/last day/few": len(few_today),
        "export/last day/few/text": str(len(few_today)),
        "export/last day/amounts": [
            event["properties"]["amount"] for event in sorted(day, key=seconds) if event["event"] == "Purchase"
        ],
        "export/last day/two events": len(two),
        "export/last day/Purchase": len([event for event in day if event["event"] == "Purchase"]),
        "export/last day/Purchase less one": len([event for event in day if event["event"] == "Purchase"]) - 1,
        "export/June/Contact Support": len([event for event in june if event["event"] == "Contact Support"]),
    }


def local(events: Raw, june: Raw) -> dict[str, Any]:
    """The table that the cases of local tools are asked about: three days' purchases and checkouts."""
    rows = [event for event in between(events, "2025-06-28", LAST_DAY) if event["event"] in ("Purchase", "Checkout")]
    bought = [event for event in rows if event["event"] == "Purchase"]
    amounts = [event["properties"]["amount"] for event in bought]
    keys = {key for event in bought for key in event["properties"]} - NOT_A_PROPERTY
    return {
        "table/rows": len(rows),
        "table/events": [
            {"event_name": name, "count": number}
            for name, number in Counter(event["event"] for event in rows).most_common()
        ],
        "table/Purchase less one": len(bought) - 1,
        "table/amount/sum": sum(amounts),
        "table/amount/min": min(amounts),
        "table/amount/max": max(amounts),
        "table/amount/count": len(amounts),
        "table/amount/different": len(set(amounts)),
        "table/keys/Purchase": sorted(keys),
    }


def people(profiles: Raw) -> dict[str, Any]:
    """Profiles, and the cohorts of those that share a trait."""
    properties = [profile["$properties"] for profile in profiles]
    traits = ("plan", "onboarding", "theme", "newsletter", "age_group")
    shared = {(trait, each[trait]) for each in properties for trait in traits if trait in each}
    pros = [each for each in properties if each.get("plan") == "pro"]
    return {
        "names of cohorts": ["Big spenders", *sorted(f"{trait}: {as_text(value)}" for trait, value in shared)],
        "profiles/not free": len([each for each in properties if each.get("plan") != "free"]),
        "profiles/pro": len(pros),
        "profiles/big spenders": len([each for each in properties if each.get("lifetime_value", 0) > 100]),
    }


def as_text(value: object) -> str:
    """A value as people write it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def saved() -> dict[str, Any]:
    """What the data set's project has saved, by its own list."""
    return {
        "funnels": [
            {"funnel_id": 8803, "name": "Kitchen cart to order"},
            {"funnel_id": 8802, "name": "Session to invitation"},
            {"funnel_id": 8801, "name": "Sign-up to purchase"},
        ],
        "bookmarks/insights": [64001, 64002],
    }


def cohorts(events: Raw) -> dict[str, Any]:
    """How many new users each group of the cohort story has, in all sixty days."""
    groups: dict[bool, set[str]] = {True: set(), False: set()}
    for event in events:
        if event["event"] == "Sign Up" and "newsletter" in event["properties"]:
            groups[event["properties"]["newsletter"]].add(user_of(event))
    return {"cohorts/better/users": len(groups[True]), "cohorts/worse/users": len(groups[False])}


def planted() -> dict[str, Any]:
    """The stories' own truths."""
    told = truths(seed=SEED, users=USERS, days=DAYS, last_day=date.fromisoformat(LAST_DAY)).to_dict()
    drop, bottleneck, cohorts = told["metric_drop"], told["funnel_bottleneck"], told["cohort_difference"]
    return {
        "drop/event": drop["event"],
        "drop/day": drop["day"],
        "drop/day and three": (date.fromisoformat(drop["day"]) + timedelta(days=3)).isoformat(),
        **{f"drop/segment/{name}": value for name, value in drop["segment"].items()},
        "drop/percentage": round(100 * (1 - drop["after_per_day"] / drop["baseline_per_day"]), 1),
        "bottleneck/step": bottleneck["step"],
        "bottleneck/property": next(iter(bottleneck["segment"])),
        "bottleneck/value": next(iter(bottleneck["segment"].values())),
        "cohorts/better": cohorts["better"]["filter"],
        "cohorts/worse": cohorts["worse"]["filter"],
        "cohorts/better/rate": cohorts["better"]["rate"],
        "cohorts/worse/rate": cohorts["worse"]["rate"],
        "cohorts/equal/one": cohorts["equal"][0]["filter"],
        "cohorts/equal/other": cohorts["equal"][1]["filter"],
    }


def by_user(events: Raw) -> dict[str, list[tuple[float, str]]]:
    """User → (seconds, event), in order of time."""
    found: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for event in events:
        if user := user_of(event):
            found[user].append((seconds(event), event["event"]))
    return {user: sorted(done) for user, done in found.items()}


def user_of(event: RawEvent) -> str:
    """Whose event it is; empty for nobody's."""
    return str(event["properties"].get("distinct_id") or "")


def seconds(event: RawEvent) -> float:
    """When it happened, in seconds since 1970, whichever unit the export has."""
    time: float = event["properties"]["time"]
    return time / 1000 if time > 10**11 else time


def monday(event: RawEvent) -> str:
    """The Monday of its week."""
    day = date.fromisoformat(day_of(event))
    return (day - timedelta(days=day.weekday())).isoformat()


def profiles_of(emulator: Emulator) -> Raw:
    """Every profile, page by page."""
    return list(_pages(emulator))


def _pages(emulator: Emulator) -> Iterator[RawEvent]:
    account, project = emulator.about["account"], emulator.about["project"]["id"]
    login = base64.b64encode(f"{account['username']}:{account['secret']}".encode()).decode()
    session, page = "", 0
    while True:
        body = f"page={page}&session_id={session}" if session else ""
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{emulator.url}/api/query/engage?project_id={project}",
            body.encode(),
            {"Authorization": f"Basic {login}", "Content-Type": "application/x-www-form-urlencoded"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
            found = json.load(answer)
        yield from found["results"]
        session, page = found.get("session_id") or "", page + 1
        if len(found["results"]) < found["page_size"]:
            return


def arguments() -> tuple[str, ...]:
    """The emulator's command line for the suite's data set."""
    size = ("--seed", str(SEED), "--users", str(USERS), "--days", str(DAYS))
    return (*size, "--last-day", LAST_DAY, "--now", LAST_DAY)


def main() -> None:
    """Write the file."""
    with (
        tempfile.TemporaryDirectory() as place,
        running_emulator(Path(place) / "log", *arguments(), cache_dir=Path(place)) as emulator,
    ):
        found = facts(list(emulator.raw_events(FIRST_DAY, LAST_DAY)), profiles_of(emulator))
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

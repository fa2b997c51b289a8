"""mixpanel-headless against the emulator, compared with the data file."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.clients.conftest import Data, Run, day_of
from tests.clients.test_mixpanel_utils import line
from tests.fixtures.emulator import brute, brute_funnels, brute_retention
from tests.fixtures.emulator.stage import Row
from tests.support.emulator import Emulator

SCRIPT = "headless.py"
FIRST, LAST = "2025-06-10", "2025-06-29"
DAYS = [str(date(2025, 6, 10) + timedelta(days=n)) for n in range(20)]
TODAY, YESTERDAY = "2025-06-30", "2025-06-29"
UTC_ZONE = ZoneInfo("UTC")


@pytest.fixture(scope="module")
def answers(run: Run, standing: Emulator) -> Any:
    """What the client made of its questions, by the parts of the script."""
    return run(standing, SCRIPT, "discovery", "live", "saved", "of_kinds", "unsaved", "raw", "feed", "profiles")


def week_of(row: Row) -> str:
    """The Monday of an event's week."""
    return brute.key(brute.local(row.time_ms, UTC_ZONE), "week")


def is_ios(row: Row) -> bool:
    """What `properties["$os"] == "iOS"` says."""
    return bool(row.values["$os"] == "iOS")


def by_day(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Day → its events, of every day that has some."""
    days: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        days[day_of(row)].append(row)
    return days


def test_discovers(answers: Any, data: Data, standing: Emulator) -> None:
    found = answers["discovery"]
    project = standing.about["project"]
    assert [(each["id"], each["name"]) for each in found["projects"]] == [(str(project["id"]), project["name"])]
    assert len(found["workspaces"]) == 1
    assert found["events"] == sorted({row.event for row in data.rows})
    purchases = data.between("2025-05-31", TODAY, "Purchase")
    carried = Counter(name for row in purchases for name in row.values)
    assert len(found["properties"]) == 10
    assert min(carried[name] for name in found["properties"]) == sorted(carried.values())[-10]
    assert sorted(found["values"]) == sorted({row.values["$browser"] for row in purchases})
    assert [(each["name"], each["type"]) for each in found["subproperties"]] == [
        ("days", "number"),
        ("method", "string"),
    ]
    today, yesterday = (Counter(row.event for row in data.between(day, day)) for day in (TODAY, YESTERDAY))
    assert [(each["event"], each["count"]) for each in found["top"]] == sorted(
        today.items(), key=lambda pair: (-pair[1], pair[0])
    )[:5]
    for each in found["top"]:
        now, before = today[each["event"]], yesterday[each["event"]]
        assert each["percent_change"] == pytest.approx((now - before) / before)


def test_discovers_what_was_saved(answers: Any, data: Data) -> None:
    found = answers["discovery"]
    assert {(each["funnel_id"], each["name"]) for each in found["funnels"]} == set(
        data.table("funnel_id, name", "funnels")
    )
    sizes = {each["name"]: each["count"] for each in found["cohorts"]}
    assert sizes.keys() == {name for (name,) in data.table("name", "cohorts")}
    plans = Counter(properties["plan"] for properties in data.profiles().values())
    assert {plan: sizes[f"plan: {plan}"] for plan in plans} == plans
    reports = set(data.table("id, name, type", "bookmarks"))
    assert {(each["id"], each["name"], each["type"]) for each in found["bookmarks"]} == reports
    assert {(each["id"], each["name"], each["bookmark_type"]) for each in found["bookmarks_v2"]} == reports
    assert (found["bookmark"]["id"], found["bookmark"]["name"]) in {report[:2] for report in reports}
    schemas = data.table("entity_type, name, schema_json", "schemas")
    assert {(each["entity_type"], each["name"]) for each in found["lexicon"]} == {entry[:2] for entry in schemas}
    assert {each["name"] for each in found["of_events"]} == {name for kind, name, _ in schemas if kind == "event"}
    purchase = next(json.loads(text) for kind, name, text in schemas if (kind, name) == ("event", "Purchase"))
    assert found["one"]["schema_json"]["properties"].keys() == purchase["properties"].keys()


def test_counts(answers: Any, data: Data) -> None:
    found = answers["live"]
    segments: dict[str, Counter[str]] = defaultdict(Counter)
    for row in data.between(FIRST, LAST, "App Open"):
        if is_ios(row):
            segments[row.values["$browser"]][week_of(row)] += 1
    weeks = brute.keys(date(2025, 6, 10), date(2025, 6, 29), "week", UTC_ZONE)
    assert found["segmentation"]["series"] == {
        browser: {week: counts[week] for week in weeks} for browser, counts in segments.items()
    }
    assert found["event_counts"]["series"] == {
        name: {
            day: len({row.distinct_id for row in rows}) for day, rows in by_day(data.between(FIRST, LAST, name)).items()
        }
        for name in ("App Open", "Search")
    }
    for system in ("iOS", "Windows"):
        searches = [row for row in data.between(FIRST, LAST, "Search") if row.values["$os"] == system]
        counted = {day: len(rows) for day, rows in by_day(searches).items()}
        series = found["property_counts"]["series"][system]
        assert {day: count for day, count in series.items() if count} == counted
    assert found["property_counts"]["series"].keys() == {"iOS", "Windows"}
    purchases = by_day(data.between(FIRST, LAST, "Purchase"))
    for day in DAYS:
        amounts = [row.values["amount"] for row in purchases[day]]
        assert found["sum"]["results"].get(day, 0) == pytest.approx(sum(amounts))
        assert sum(counts.get(day, 0) for counts in found["numeric"]["series"].values()) == len(amounts)
        of_ios = [row.values["amount"] for row in purchases[day] if is_ios(row)]
        average = sum(of_ios) / len(of_ios) if of_ios else 0
        assert found["average"]["results"].get(day, 0) == pytest.approx(average)


def test_follows_users(answers: Any, data: Data) -> None:
    found = answers["live"]

    def bucket(row: Row) -> str | None:
        return day_of(row) if FIRST <= day_of(row) <= LAST else None

    for number, steps, length, unit in data.table("funnel_id, steps, length, length_unit", "funnels"):
        walks, _ = brute_funnels.funnel(
            data.rows,
            [(step["event"], _kitchen if step["selector"] else _any) for step in json.loads(steps)],
            length * {"hour": 3_600_000, "day": 86_400_000}[unit],
            bucket,
            lambda _: "x",
            0,
        )
        reached = [sum(counts) for counts in zip(*(walk.reached for walk in walks.values()), strict=True)]
        assert [step["count"] for step in found["funnels"][str(number)]["steps"]] == reached
        assert reached[0] > 0

    born = brute_retention.retention(
        data.rows,
        is_birth=lambda row: row.event == "Sign Up",
        is_return=lambda row: row.event == "App Open",
        bucket=bucket,
        dates=DAYS,
        once=True,
        later=False,
        interval_ms=86_400_000,
        count=5,
        unbounded=False,
        on=lambda _: "x",
        limit=0,
    )["$overall"]
    cohorts = {cohort["date"]: cohort for cohort in found["retention"]["cohorts"]}
    assert cohorts.keys() == born.keys()
    for day, cohort in born.items():
        size = cohort["first"]
        assert cohorts[day]["size"] == size
        assert cohorts[day]["retention"] == [count / size if size else 0.0 for count in cohort["counts"]]

    hours: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in data.between(FIRST, LAST, "App Open"):
        if row.distinct_id:
            hours[day_of(row)][row.distinct_id].add(brute.key(brute.local(row.time_ms, UTC_ZONE), "hour"))
    assert found["frequency"]["data"] == {
        day: [sum(len(active) > times for active in hours[day].values()) for times in range(24)] for day in DAYS
    }


def _any(_: Row) -> bool:
    return True


def _kitchen(row: Row) -> bool:
    return bool(row.values.get("category") == "Kitchen")


def test_runs_saved_reports(answers: Any, data: Data) -> None:
    found = answers["saved"]
    assert found.keys() == {name for (name,) in data.table("name", "bookmarks")}
    sessions = found["Daily sessions"]["series"]["App Open - Unique"]
    opened = by_day(data.between("2025-06-01", TODAY, "App Open"))
    assert {key[:10]: count for key, count in sessions.items()} == {
        day: len({row.distinct_id for row in rows}) for day, rows in opened.items()
    }
    steps = found["Sign-up to purchase"]["series"]["Sign-up to purchase"]["count"]
    signed_up = {row.distinct_id for row in data.between("2025-06-01", TODAY, "Sign Up")}
    assert steps["1. Sign Up"]["all"] == len(signed_up)
    returned = found["Back after sign-up"]["series"]["Sign Up and then App Open"]
    assert sum(cohort["first"] for key, cohort in returned.items() if key != "$average") == len(
        {row.distinct_id for row in data.rows if row.event == "Sign Up"}
    )
    [first] = found["After opening the app"]["steps"][0]["nodes"]
    assert first["totalCount"] == len({row.distinct_id for rows in opened.values() for row in rows})


def test_runs_saved_reports_by_the_paths_of_their_kinds(answers: Any, data: Data) -> None:
    found, saved = answers["of_kinds"], answers["saved"]
    assert found["insights"]["series"] in [report.get("series") for report in saved.values()]
    signed_up = by_day(data.between(FIRST, LAST, "Sign Up"))
    steps = {day: date["steps"] for day, date in found["funnels"]["series"].items()}
    assert {day: counts[0]["count"] for day, counts in steps.items() if counts[0]["count"]} == {
        day: len({row.distinct_id for row in rows}) for day, rows in signed_up.items()
    }
    returned = dict(saved["Back after sign-up"]["series"]["Sign Up and then App Open"])
    returned.pop("$average")
    assert found["retention"]["series"] == {key[:10]: cohort for key, cohort in returned.items()}
    assert found["flows"]["series"]["steps"] == saved["After opening the app"]["steps"]


def users(rows: Iterable[Row]) -> set[str]:
    """Whose events these are."""
    return {row.distinct_id for row in rows} - {""}


def is_few(row: Row) -> bool:
    """What the filter by browser says."""
    return row.values.get("$browser") in {"Chrome", "Safari"}


def test_counts_what_is_not_saved(answers: Any, data: Data) -> None:
    found = answers["unsaved"]
    for event in ("Purchase", "Search"):
        weeks: dict[str, set[str]] = defaultdict(set)
        for row in data.between(FIRST, LAST, event):
            weeks[week_of(row)] |= {row.distinct_id} - {""}
        told = {each["date"][:10]: each["count"] for each in found["counts"] if each["event"] == f"{event} - Unique"}
        assert told == {week: len(ids) for week, ids in weeks.items()}
    amounts = [row.values["amount"] for row in data.between(FIRST, LAST, "Purchase") if is_few(row)]
    assert found["sum"] == {
        "Purchase - Sum of amount": {"all": pytest.approx(sum(amount for amount in amounts if amount > 50))}
    }
    searches = data.between(FIRST, LAST, "Search")
    pairs = Counter(
        (system, browser)
        for row in searches
        for system in ("$overall", row.values["$os"])
        for browser in ({"$overall"} if system == "$overall" else {"$overall", row.values["$browser"]})
    )
    assert {(each["$os"], each["$browser"]): each["count"] for each in found["two_levels"]} == pairs
    bought, opened = (len(users(data.between(FIRST, LAST, event))) for event in ("Purchase", "App Open"))
    assert found["formula"] == {"(A / B) * 100": {"all": pytest.approx(bought / opened * 100)}}
    counts = [len(by_day(data.between(FIRST, LAST, "Purchase"))[day]) for day in DAYS]
    means = [sum(counts[max(0, at - 6) : at + 1]) / len(counts[max(0, at - 6) : at + 1]) for at in range(len(counts))]
    assert list(found["rolling"]["Purchase - Total"].values()) == pytest.approx(means)
    in_cohort = set(answers["profiles"]["cohort"])
    assert found["cohort"] == {"Search - Total": {"all": len([r for r in searches if r.distinct_id in in_cohort])}}
    assert in_cohort


def test_follows_users_through_what_is_not_saved(answers: Any, data: Data) -> None:
    found = answers["unsaved"]
    rows = [row for row in data.rows if is_few(row)]
    walks, _ = brute_funnels.funnel(
        rows,
        [("App Open", _any), ("Search", _any)],
        7 * 86_400_000,
        lambda row: "all" if FIRST <= day_of(row) <= LAST else None,
        lambda _: "x",
        0,
    )
    assert [step["count"] for step in found["funnel"]["steps_data"]] == walks["all"].reached

    def week(row: Row) -> str | None:
        return week_of(row) if FIRST <= day_of(row) <= LAST else None

    weeks = brute.keys(date(2025, 6, 10), date(2025, 6, 29), "week", UTC_ZONE)
    born = brute_retention.retention(
        data.rows,
        is_birth=lambda row: row.event == "Sign Up",
        is_return=lambda row: row.event == "App Open",
        bucket=week,
        dates=weeks,
        once=True,
        later=False,
        interval_ms=7 * 86_400_000,
        count=len(weeks),
        unbounded=False,
        on=lambda row: row.values["$os"],
        limit=3000,
    )
    told = {"$overall": found["retention"]["cohorts"], **found["retention"]["segments"]}
    assert told.keys() == born.keys()
    for label, cohorts in told.items():
        assert {key: (each["first"], each["counts"]) for key, each in cohorts.items()} == {
            key: (each["first"], each["counts"]) for key, each in born[label].items()
        }


def test_flows_that_are_not_saved(answers: Any, data: Data) -> None:
    found = answers["unsaved"]
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    for events in brute_retention.by_user(data.rows).values():
        places = [at for at, row in enumerate(events) if row.event == "Purchase" and FIRST <= day_of(row) <= LAST]
        if not places:
            continue
        at, week_ms = places[0], 7 * 86_400_000
        if at and events[at - 1].time_ms >= events[at].time_ms - week_ms:
            before[events[at - 1].event] += 1
        came = at + 1 < len(events) and events[at + 1].time_ms <= events[at].time_ms + week_ms
        after[events[at + 1].event if came else "DROPOFF"] += 1
    edges = found["flow"]
    assert {each["source_event"]: each["count"] for each in edges if each["source_step"] == 0} == before
    assert {each["target_event"]: each["count"] for each in edges if each["source_step"] == 1} == after
    assert {path["flowSteps"][1]["event"]: int(path["totalCount"]) for path in found["paths"]} == after
    after.pop("DROPOFF")
    assert found["tree"] == [after]


def test_streams_events(answers: Any, data: Data) -> None:
    found = answers["raw"]
    delivered = [row for row in data.deliveries if FIRST <= day_of(row) <= LAST]
    assert found["all"] == [line(row) for row in delivered]
    assert found["some"] == [
        [row.event, row.insert_id] for row in delivered if row.event in {"Purchase", "Search"} and is_ios(row)
    ]
    assert found["limited"] == 17


def test_pages_through_what_users_did(answers: Any, data: Data) -> None:
    found = answers["feed"]
    mine = [row for row in data.between(FIRST, LAST) if row.distinct_id in found["users"]]
    did = [[row.event, row.insert_id] for row in sorted(mine, key=lambda row: row.time_ms)]
    assert len(found["pages"]) > 1
    assert [len(page) for page in found["pages"][:-1]] == [found["limit"]] * (len(found["pages"]) - 1)
    assert [event for page in reversed(found["pages"]) for event in page] == did
    assert found["without"] == [event for event, _ in did if event != "App Open"]
    assert found["only"] == [event for event, _ in did if event == "Search"]


def test_streams_profiles(answers: Any, data: Data) -> None:
    found = answers["profiles"]
    profiles = data.profiles()
    assert {each["$distinct_id"]: each["$properties"] for each in found["all"]} == profiles
    pro = {user: properties for user, properties in profiles.items() if properties["plan"] == "pro"}
    assert sorted(found["cohort"]) == sorted(pro)
    assert found["pro"]["aggregate_data"] == len(pro)
    oldest = sorted(pro, key=lambda user: (pro[user]["$created"], user))[:9]
    assert [each["distinct_id"] for each in found["oldest"]] == oldest
    spent = [properties["lifetime_value"] for properties in profiles.values()]
    summary: dict[str, Any] = found["spent"]["aggregate_data"]
    assert summary["count"] == len(spent)
    assert summary["mean"] == pytest.approx(sum(spent) / len(spent))
    assert summary["sum_of_squares"] == pytest.approx(sum(value * value for value in spent))


def test_writes_annotations_and_schemas(run: Run, ledger: Emulator) -> None:
    found = run(ledger, SCRIPT, "written")["written"]
    project = ledger.about["project"]["id"]
    for annotation in [*found["changed"], *found["listed"]]:
        assert (annotation["description"], annotation["project_id"]) == ("v2.1", project)
        assert datetime.fromisoformat(annotation["date"]) == datetime.fromisoformat("2025-06-01T12:00:00+00:00")
        assert [tag["name"] for tag in annotation["tags"]] == ["release"]
    assert [annotation["description"] for annotation in found["left"]] == ["later"]
    assert [tag["name"] for tag in found["tags"]] == ["release"]
    assert found["registered"] == [{"description": "first", "properties": {"a": {"type": "string"}}}]
    assert found["deleted"] == {"delete_count": 1}


def test_its_command_line(mp: Run, standing: Emulator, data: Data) -> None:
    asked = ["query", "segmentation", "--event", "Search", "--from", FIRST, "--to", LAST, "--format", "json"]
    assert mp(standing, *asked)["total"] == len(data.between(FIRST, LAST, "Search"))

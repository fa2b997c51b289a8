"""mixpanel-utils against the emulator, compared with the data file and with what it wrote itself."""

import csv
import gzip
import json
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import Data, Reader, Run, day_of
from tests.fixtures.emulator.stage import Row
from tests.support.emulator import Emulator

SCRIPT = "mixpanel_utils_library.py"
FIRST, LAST = "2025-06-10", "2025-06-29"
AS_OF = datetime(2025, 6, 28, 12, tzinfo=UTC)


def line(row: Row) -> dict[str, Any]:
    """An event as an export has it."""
    own: dict[str, Any] = {"time": row.time_ms // 1000, "distinct_id": row.distinct_id}
    if row.insert_id is not None:
        own["$insert_id"] = row.insert_id
    if row.processing_ms is not None:
        own["mp_processing_time_ms"] = row.processing_ms
    return {"event": row.event, "properties": {**own, **row.values}}


def test_exports_events(run: Run, standing: Emulator, data: Data, tmp_path: Path) -> None:
    answered = run(standing, SCRIPT, "export", str(tmp_path), "local-emulator-project-secret")
    delivered = [row for row in data.deliveries if FIRST <= day_of(row) <= LAST]

    with gzip.open(tmp_path / "raw.jsonl.gz") as lines:
        assert [json.loads(text) for text in lines] == [line(row) for row in delivered]
    for day in ("2025-06-28", "2025-06-29"):
        of_day = json.loads((tmp_path / f"by_day_{day}.json").read_bytes())
        assert of_day == [line(row) for row in delivered if day_of(row) == day]
    some = [row for row in delivered if row.event in {"Purchase", "Sign Up"} and row.values["$os"] == "iOS"]
    assert some
    assert answered == {"some": [line(row) for row in some], "by_secret": len(some)}
    with gzip.open(tmp_path / "some.csv.gz", "rt", encoding="utf-8", newline="") as table:
        assert [entry["event"] for entry in csv.DictReader(table)] == [row.event for row in some]


def test_reads_profiles_page_by_page(run: Run, standing: Emulator, data: Data) -> None:
    answered = run(standing, SCRIPT, "people", str(round(AS_OF.timestamp())))
    profiles = data.profiles()
    assert {each["$distinct_id"]: each["$properties"] for each in answered["all"]} == profiles
    assert len(answered["all"]) == len(profiles)
    pro = sorted(user for user, properties in profiles.items() if properties["plan"] == "pro")
    assert sorted((each["$distinct_id"], each["$properties"]) for each in answered["some"]) == [
        (user, {name: profiles[user][name] for name in ("plan", "$email")}) for user in pro
    ]
    assert sorted(answered["cohort"]) == pro
    end_ms = round(AS_OF.timestamp()) * 1000
    bought: dict[str, int] = defaultdict(int)
    for row in data.rows:
        if row.event == "Purchase" and end_ms - 30 * 86_400_000 < row.time_ms <= end_ms:
            bought[row.distinct_id] += 1
    buyers = sorted(user for user, times in bought.items() if times > 1 and user in profiles)
    assert len(buyers) > 3
    assert sorted(answered["buyers"]) == buyers


def test_asks_in_jql(run: Run, standing: Emulator, data: Data) -> None:
    answered = run(standing, SCRIPT, "jql")
    purchases = data.between(FIRST, LAST, "Purchase")
    groups: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in purchases:
        groups[day_of(row), row.values["$os"]].append(row.values["amount"])
    grouped = {(each["key"][0], each["key"][1]): each["value"] for each in answered["grouped"]}
    assert grouped.keys() == {(_day_ms(day), os) for day, os in groups}
    for (day, os), amounts in groups.items():
        assert grouped[_day_ms(day), os] == [len(amounts), pytest.approx(sum(amounts))]
    assert sorted((each["properties"] for each in answered["events"]), key=str) == sorted(
        (
            {
                "distinct_id": row.distinct_id,
                "time": row.time_ms / 1000,
                "amount": row.values["amount"],
                "$os": row.values["$os"],
            }
            for row in purchases
        ),
        key=str,
    )
    pro = sorted(user for user, properties in data.profiles().items() if properties["plan"] == "pro")
    assert sorted((each["$distinct_id"], each["$properties"]["plan"]) for each in answered["people"]) == [
        (user, "pro") for user in pro
    ]


def _day_ms(day: str) -> int:
    return round(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1000


def test_imports_and_changes(run: Run, ledger: Emulator) -> None:
    start = datetime(2024, 2, 29, 6, tzinfo=UTC)
    answered = run(ledger, SCRIPT, "write", str(round(start.timestamp())))
    assert answered == {"touched": [4, 4, 1, 1, 1, 1, 1, 1, 1, 1]}
    reader = Reader(ledger)
    found = reader.exported("2024-02-29", "2024-02-29", "Utils Imported")
    # A hundred were sent twice: the export has both copies, as Mixpanel's own has.
    assert len(found) == 4200
    seconds = round(start.timestamp())
    assert {
        (each["properties"]["n"], each["properties"]["$insert_id"], each["properties"]["time"]) for each in found
    } == {(n, f"utils-{n}", seconds + n) for n in range(4100)}
    assert reader.counted("Utils Imported", "2024-02-29") == 4100

    profiles = {user: reader.profile(user) for user in ("u0", "u1", "u2", "u3")}
    assert profiles == {
        "u0": {"plan": "pro", "n": 0},
        "u1": {"plan": "pro", "n": 101, "seen": True, "twice": 2, "list": ["b"], "once": 1},
        "u2": {"plan": "pro", "n": 2, "twice": 4},
        "u3": {"plan": "pro", "number": 3, "seen": True, "twice": 6},
    }
    assert reader.profile("u4", include_all_users="false") is None

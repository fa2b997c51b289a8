"""Mixpanel's own Python library writes; what it wrote is read back."""

from datetime import UTC, datetime, timedelta

from tests.clients.conftest import Reader, Run
from tests.support.emulator import Emulator

SCRIPT = "official_library.py"


def _days() -> tuple[str, str]:
    """Days around now, whatever midnight does meanwhile."""
    today = datetime.now(UTC).date()
    return str(today - timedelta(days=1)), str(today)


def test_tracks_events(run: Run, ledger: Emulator) -> None:
    run(ledger, SCRIPT, "track")
    found = [event["properties"] for event in Reader(ledger).exported(*_days(), "Client Tracked")]
    assert {properties["distinct_id"] for properties in found} == {"ada"}
    assert {properties["mp_lib"] for properties in found} == {"python"}
    assert [properties["color"] for properties in found] == ["blue", "grün", "grün"]
    assert found[0]["when"] == "2025-01-02T03:04:05"
    assert found[0]["n"] == 1.5
    assert not any("token" in properties for properties in found)


def test_identities_are_answered_and_are_no_events(run: Run, ledger: Emulator) -> None:
    run(ledger, SCRIPT, "identities")
    assert Reader(ledger).exported(*_days(), "$merge", "$create_alias") == []


def test_changes_profiles(run: Run, ledger: Emulator) -> None:
    run(ledger, SCRIPT, "people")
    reader = Reader(ledger)
    ada, bob = reader.profile("ada"), reader.profile("bob")
    assert ada is not None
    assert datetime.fromisoformat(ada.pop("$last_seen")) > datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=1)
    assert ada == {
        "$name": "Ada",
        "plan": "pro",
        "born": "1990-01-02T03:04:05",
        "source": "friend",
        "visits": 2,
        "tags": ["x", "x", "y"],
        "seen": [],
        "$transactions": [{"$time": "2025-01-02T03:04:05", "$amount": 12.5}],
    }
    assert bob is not None
    assert bob["plan"] == "free"
    assert "$transactions" not in bob
    assert reader.profile("cy", include_all_users="false") is None


def test_changes_groups(run: Run, ledger: Emulator) -> None:
    run(ledger, SCRIPT, "groups")
    assert Reader(ledger).groups("company") == {
        "Acme": {"seats": 5, "tags": ["b"], "city": "Lyon"},
        "Bolt": {"new": 2},
    }


def test_imports_in_batches_and_with_the_project_secret(run: Run, ledger: Emulator) -> None:
    start = datetime(2020, 2, 29, 12, tzinfo=UTC)
    run(ledger, SCRIPT, "import", str(round(start.timestamp())), "local-emulator-project-secret")
    found = [event["properties"] for event in Reader(ledger).exported("2020-02-29", "2020-02-29", "Client Imported")]
    seconds = round(start.timestamp())
    assert sorted((each["number"], each["distinct_id"], each["time"]) for each in found) == [
        *((number, f"u{number % 7}", seconds + number) for number in range(100)),
        (100, "u1", seconds),
    ]


def test_understands_a_refusal(run: Run, ledger: Emulator) -> None:
    assert run(ledger, SCRIPT, "refused").startswith("Mixpanel error: 'properties.time' is invalid")
    assert Reader(ledger).exported(*_days(), "Client Tracked") == []

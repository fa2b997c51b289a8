"""Budget and retries against a service that counts: what is sent, what is refused, and how many run at once."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mixpanel_data import Credentials, MixpanelAPIClient, RateLimitError
from mixpanel_data.endpoints import ENDPOINTS
from tests.support.emulator import Emulator
from tests.support.faults import patience_s
from tests.support.virtual_clock import VirtualClock

NAMES, EXPORT = ENDPOINTS["event_names"], ENDPOINTS["export"]
DAY = {"from_date": "2025-06-30", "to_date": "2025-06-30"}


class Counting:
    """An emulator that is asked what it saw, and clients of it."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator

    def client(self, **options: Any) -> MixpanelAPIClient:
        told = self.emulator.environment
        credentials = Credentials.model_validate(
            {name: told[f"MP_{name.upper()}"] for name in ("username", "secret", "project_id", "region")}
        )
        return MixpanelAPIClient(credentials, base_url=self.emulator.url, **options)

    def statuses(self, query: str) -> list[int]:
        """The answers to the last requests whose query string holds that text."""
        return [row["status"] for row in self.emulator.requests() if query in row["query"]]


@pytest.fixture
def counting(emulator: Emulator) -> Iterator[Counting]:
    """The emulator of the session, put back as it was."""
    made = Counting(emulator)
    try:
        yield made
    finally:
        emulator.tell("POST", "reset", {})


def ask(client: MixpanelAPIClient, number: int) -> Any:
    return client.call(NAMES, {"type": "general", "limit": number})


def test_the_sixty_first_query_of_an_hour_is_not_sent(counting: Counting) -> None:
    counting.emulator.tell("PATCH", "settings", {"limits": "mixpanel"})
    with counting.client(rate_limits="mixpanel") as client, counting.client(rate_limits=" mixpanel") as other:
        for number in range(1, 61):
            ask(client, 1000 + number)
        with pytest.raises(RateLimitError, match="Mixpanel was not asked") as caught:
            ask(client, 2061)
        assert caught.value.retry_after is not None
        assert 3500 < caught.value.retry_after <= 3601
        assert client.budget.used("query") == (60, 60, 3600)
        assert counting.statuses("limit=1060") == [200]
        assert counting.statuses("limit=2061") == []
        # A second client of the same project, as of another tool, has the same budget.
        assert other.budget is client.budget
        # And the service would have refused.
        with counting.client(rate_limits="off", max_retries=0) as reckless, pytest.raises(RateLimitError) as refused:
            ask(reckless, 3061)
        assert "61/60" in refused.value.message
        assert counting.statuses("limit=3061") == [429]


def test_twenty_threads_never_run_more_than_five_at_once(counting: Counting) -> None:
    counting.emulator.tell("PATCH", "settings", {"limits": "query=1000/h+5"})
    counting.emulator.tell("POST", "faults", {"kind": "latency", "value": 20, "path": "*/events/names"})
    with (
        counting.client(rate_limits="query=1000/hour;5 at once", max_retries=0) as client,
        ThreadPoolExecutor(20) as pool,
    ):
        answers = list(pool.map(lambda number: ask(client, number), range(5000, 5040)))
    assert len(answers) == 40
    assert counting.statuses("limit=50") == [200] * 40


def test_exports_keep_to_three_a_second(counting: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = VirtualClock(monkeypatch)
    with counting.client(rate_limits="mixpanel") as client:
        for _ in range(7):
            client.download(EXPORT, DAY, io.BytesIO())
        assert client.budget.used("export") == (7, 60, 3600)
    assert clock.slept == [pytest.approx(1.1), pytest.approx(1.1)]


@pytest.mark.parametrize(("form", "number"), [("seconds", 701), ("http_date", 702), ("absent", 703)])
def test_a_real_refusal_is_waited_out(
    counting: Counting, monkeypatch: pytest.MonkeyPatch, form: str, number: int
) -> None:
    clock = VirtualClock(monkeypatch)
    counting.emulator.tell(
        "POST", "faults", {"kind": "rate_limited", "value": form, "path": "*/events/names", "count": 2}
    )
    with counting.client(rate_limits=f"query={number}/hour") as client:
        assert ask(client, number)
        assert client.budget.used("query") == (1, number, 3600)
    if form == "absent":
        assert [int(seconds) for seconds in clock.slept] == [1, 2]
    else:
        # A date has no fractions, and a server's Date may be a second old.
        assert all(36 <= seconds <= 38 for seconds in clock.slept)
    assert counting.statuses(f"limit={number}") == [429, 429, 200]


@pytest.mark.parametrize("kind", ["reset", "cut", "cut_gzip", "stall"])
def test_an_export_that_breaks_off_arrives_whole_and_once(
    counting: Counting, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, kind: str
) -> None:
    VirtualClock(monkeypatch)
    whole = io.BytesIO()
    with counting.client(rate_limits="off", export_timeout=patience_s(request)) as client:
        client.download(EXPORT, DAY, whole, plain=True)
        counting.emulator.tell("POST", "faults", {"kind": kind, "value": 700, "path": "*/export", "count": 2})
        again = io.BytesIO()
        client.download(EXPORT, DAY, again, plain=True)
    assert again.getvalue() == whole.getvalue()
    assert whole.getvalue().count(b"\n") > 10

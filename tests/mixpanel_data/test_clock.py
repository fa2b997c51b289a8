"""The clock, and how MP_NOW pins it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from mixpanel_data import ConfigError, clock


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2025-06-30", datetime(2025, 6, 30, 23, 59, 59, 999000, UTC)),
        ("2025-06-30T12:00:00", datetime(2025, 6, 30, 12, tzinfo=UTC)),
        ("2025-06-30T12:00:00+02:00", datetime(2025, 6, 30, 10, tzinfo=UTC)),
        ("2025-06-30T12:00:00Z", datetime(2025, 6, 30, 12, tzinfo=UTC)),
    ],
)
def test_mp_now_pins_the_instant(environment: pytest.MonkeyPatch, text: str, instant: datetime) -> None:
    environment.setenv("MP_NOW", text)
    assert clock.now() == instant
    assert clock.now().utcoffset() == UTC.utcoffset(None)


def test_today_is_the_day_of_the_time_zone(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MP_NOW", "2025-06-30T23:30:00Z")
    assert clock.today() == date(2025, 6, 30)
    assert clock.today(ZoneInfo("Europe/Paris")) == date(2025, 7, 1)


@pytest.mark.parametrize("text", ["yesterday", "2025-13-01", "2025-06-31", "1751241600", "9999-12-31"])
def test_rubbish_is_refused_with_an_example(environment: pytest.MonkeyPatch, text: str) -> None:
    environment.setenv("MP_NOW", text)
    with pytest.raises(ConfigError, match="MP_NOW") as caught:
        clock.now()
    assert "2025-06-30" in str(caught.value.fix)


def test_unpinned_it_goes_with_the_wall(environment: pytest.MonkeyPatch) -> None:
    before = datetime.now(UTC)
    assert before <= clock.now() <= datetime.now(UTC)

"""The one place that knows the time.

`MP_NOW` pins the instant at which the clock stands: ISO 8601; a day alone means its end; without an offset, UTC.
Durations and waiting are not pinned: a lock held by somebody else is waited for in real time, and a rate limit is
the service's. Who replays a recording puts functions of its own in the place of `monotonic`, `epoch` and `sleep`, so
they are called as `clock.sleep(…)` and never imported by name.
"""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, date, datetime, timedelta, tzinfo

from mixpanel_data.errors import ConfigError


def now() -> datetime:
    """This instant, aware, in UTC; the one in MP_NOW where that is set.

    Raises:
        ConfigError: MP_NOW is set, but is not an instant.
    """
    pinned = os.environ.get("MP_NOW", "").strip()
    return parse_instant(pinned) if pinned else datetime.now(UTC)


def today(tz: tzinfo = UTC) -> date:
    """The calendar day of `now()` in that time zone."""
    return now().astimezone(tz).date()


def monotonic() -> float:
    """Seconds on a clock that only goes forward, for durations."""
    return time.monotonic()


def epoch() -> float:
    """Seconds since 1970, never pinned: for what is compared with the clocks of other machines."""
    return time.time()


def sleep(seconds: float, interrupt: threading.Event | None = None) -> None:
    """Wait so long; less if `interrupt` is set before."""
    if interrupt is None:
        time.sleep(seconds)
    else:
        interrupt.wait(seconds)


def parse_instant(text: str) -> datetime:
    """The instant that an MP_NOW text names, aware, in UTC."""
    try:
        if len(text) == len("YYYY-MM-DD"):
            end_of_day = datetime.combine(date.fromisoformat(text) + timedelta(days=1), datetime.min.time(), UTC)
            return end_of_day - timedelta(milliseconds=1)
        instant = datetime.fromisoformat(text)
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ConfigError(
            f"MP_NOW is not an instant: {text!r}",
            fix="write it as 2025-06-30 or 2025-06-30T12:00:00+00:00, or unset it",
        ) from error

"""The harness's own time: it watches real processes, so no setting pins it."""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """The instant, in UTC."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Seconds that only grow, for deadlines and durations."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Wait between two looks at a condition; never in place of one."""
    time.sleep(seconds)


class Deadline:
    """An instant after which a wait must have ended."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = monotonic() + seconds

    def left_s(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self._end - monotonic())

    def end_within(self, seconds: float) -> None:
        """Bring the end forward where it is further away than that."""
        self._end = min(self._end, monotonic() + seconds)

    def passed(self) -> bool:
        """Whether nothing is left."""
        return self.left_s() == 0.0

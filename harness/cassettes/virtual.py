"""The clock of a server that tapes are played to: it stands where it stood at the recording, and no wait takes time."""

import threading
from collections.abc import Callable
from datetime import datetime

from harness import clock

Sleep = Callable[[float, threading.Event | None], None]


class Standing:
    """Stands in for the functions of the library's clock.

    Waits for a budget and between two tries are told apart from others by what may interrupt them, a client that is
    closed: those are skipped and written down. A lock that somebody else holds, and a query that runs in another
    process, take as long as they take.

    Args:
        sleep: how to wait in earnest

    instant: where the clock stands; None while no case is on
    skips: whether waits are skipped
    slept: the seconds of each wait since the case began
    """

    def __init__(self, sleep: Sleep) -> None:
        self._sleep = sleep
        self._skipped = 0.0
        self._lock = threading.Lock()
        self.instant: datetime | None = None
        self.skips = False
        self.slept: list[float] = []

    def set(self, instant: datetime | None, *, skips: bool) -> None:
        """Stand there from now on, with nothing slept."""
        self.instant, self.skips, self.slept = instant, skips, []

    def now(self) -> datetime:
        """The instant."""
        return self.instant or clock.now()

    def epoch(self) -> float:
        """Seconds since 1970: the instant's where nothing of the world is asked, else the world's."""
        return self.now().timestamp() + self._skipped if self.skips else clock.now().timestamp()

    def monotonic(self) -> float:
        """Seconds that only grow, the skipped ones among them."""
        return clock.monotonic() + self._skipped

    def sleep(self, seconds: float, interrupt: threading.Event | None = None) -> None:
        """Wait, or not."""
        if interrupt is not None and self.skips:
            self.skip(seconds)
        else:
            self._sleep(seconds, interrupt)

    def skip(self, seconds: float) -> None:
        """Let so many seconds have passed."""
        with self._lock:
            self.slept.append(round(seconds, 3))
            self._skipped += seconds

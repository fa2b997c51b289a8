"""A clock that goes only when somebody sleeps, and writes down how long."""

from __future__ import annotations

import threading

import pytest

from mixpanel_data import clock


class VirtualClock:
    """Stands in for the three functions of `mixpanel_data.clock` that pass or measure time.

    slept: the seconds of each sleep, in their order
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.slept: list[float] = []
        self._now = 1_750_000_000.0
        self._lock = threading.Lock()
        for name in ("monotonic", "epoch", "sleep"):
            monkeypatch.setattr(clock, name, getattr(self, name))

    def monotonic(self) -> float:
        return self._now

    def epoch(self) -> float:
        return self._now

    def sleep(self, seconds: float, _interrupt: threading.Event | None = None) -> None:
        """Pass that much time at once."""
        with self._lock:
            self.slept.append(seconds)
            self._now += seconds

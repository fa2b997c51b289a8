"""What `up` and `down` say while they work: a live table on a terminal, lines elsewhere, to a program nothing."""

import io
import os
import sys
import threading
from collections.abc import Mapping
from typing import Protocol, TextIO

from harness import clock
from harness.terminal import harmless


class Progress(Protocol):
    """What a long command tells while it works."""

    def note(self, text: str) -> None:
        """Something that the user should know."""

    def stage(self, service: str, text: str) -> None:
        """What a service is at."""

    def done(self, service: str, text: str) -> None:
        """A service has got where it should."""

    def close(self) -> None:
        """Nothing more comes."""


class Lines:
    """Plain lines: one when a service begins, one when it is there; quiet once nobody can hear them."""

    def __init__(self, stream: TextIO) -> None:
        self._stream: TextIO | None = stream
        self._begun: set[str] = set()

    def note(self, text: str) -> None:
        """One line."""
        self._say(f"note: {text}")

    def stage(self, service: str, text: str) -> None:
        """One line for the first stage only."""
        if service not in self._begun:
            self._begun.add(service)
            self._say(f"{service}: {text}")

    def done(self, service: str, text: str) -> None:
        """One line."""
        self._say(f"{service}: {text}")

    def close(self) -> None:
        """Nothing is left open."""

    def _say(self, line: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(harmless(line) + "\n")
            self._stream.flush()
        except OSError:
            # The terminal or the reader of a pipe has gone; the work itself goes on, or is undone, all the same.
            self._stream = None


class Live:
    """A table that moves, on standard error; rich minds NO_COLOR itself."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live as RichLive
        from rich.spinner import Spinner
        from rich.table import Table
        from rich.text import Text

        self._text = Text
        self._rows: dict[str, tuple[bool, str, float, float]] = {}
        self._spinner = Spinner("dots")

        def render() -> Table:
            table = Table.grid(padding=(0, 1))
            # A copy: services report from threads of their own while this one draws.
            for service, (done, text, began, seconds) in list(self._rows.items()):
                mark = Text("✓", style="green") if done else self._spinner
                took = seconds if done else clock.monotonic() - began
                table.add_row(mark, service, Text(text), Text(f"{took:.1f} s", style="dim"))
            return table

        self._live = RichLive(console=Console(stderr=True), get_renderable=render, refresh_per_second=12)
        self._live.start()

    def note(self, text: str) -> None:
        """One line above the table."""
        self._live.console.print(self._text(harmless(f"note: {text}"), style="yellow"))

    def stage(self, service: str, text: str) -> None:
        """The service's row, with a spinner."""
        was_done, _, began, _ = self._rows.get(service, (True, "", 0.0, 0.0))
        self._rows[service] = (False, text, clock.monotonic() if was_done else began, 0.0)

    def done(self, service: str, text: str) -> None:
        """The service's row, with a tick."""
        began = self._rows[service][2] if service in self._rows else clock.monotonic()
        self._rows[service] = (True, text, began, clock.monotonic() - began)

    def close(self) -> None:
        """Leave the table as it is last."""
        self._live.stop()


class LiveWhenItTakesTime:
    """Plain lines until a service has something to wait for, the table from then on: rich takes a while to load."""

    def __init__(self) -> None:
        self._inner: Progress = Lines(sys.stderr)
        self._lock = threading.Lock()

    def note(self, text: str) -> None:
        """Passed on."""
        self._inner.note(text)

    def stage(self, service: str, text: str) -> None:
        """The first one brings the table."""
        # Services begin side by side, each in a thread of its own: the second one must not bring a second table.
        with self._lock:
            if isinstance(self._inner, Lines):
                self._inner = Live()
        self._inner.stage(service, text)

    def done(self, service: str, text: str) -> None:
        """Passed on."""
        self._inner.done(service, text)

    def close(self) -> None:
        """Passed on."""
        self._inner.close()


def progress(*, as_json: bool, environment: Mapping[str, str]) -> Progress:
    """The kind of progress that fits whoever reads standard error."""
    if as_json:
        return Lines(io.StringIO())
    if os.isatty(2) and environment.get("TERM") not in (None, "dumb"):
        return LiveWhenItTakesTime()
    return Lines(sys.stderr)

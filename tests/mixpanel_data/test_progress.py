"""What is shown meanwhile: on a terminal alone, and never on standard output."""

from __future__ import annotations

import io
import sys

import pytest

from mixpanel_data import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal as standard error; in the test itself, for what is captured is set anew before it."""
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    return shown


def test_a_terminal_is_shown_pieces_rates_and_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = on_a_terminal(monkeypatch)
    with progress.bar("fetching events (5 of 60 export calls this hour)", 5, wanted=True) as tell:
        tell(2, 1234, 5_000_000)
        tell(5, 9876, 9_000_000)
    shown = terminal.getvalue()
    for word in ("5 of 60 export calls this hour", "5/5", "9,876 events", "/s", "MB/s", "left"):
        assert word in shown
    assert capsys.readouterr().out == ""


def test_a_terminal_is_shown_what_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_a_terminal(monkeypatch)
    with progress.spinner("fetching events", wanted=True) as tell:
        tell(2_500_000)
    assert "fetching events" in terminal.getvalue()


def test_nothing_is_shown_to_who_does_not_want_it_or_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = on_a_terminal(monkeypatch)
    with progress.bar("fetching", 5, wanted=False) as tell, progress.spinner("fetching", wanted=False) as spin:
        tell(1, 1, 1)
        spin(1)
    assert terminal.getvalue() == ""
    plain = io.StringIO()
    monkeypatch.setattr(sys, "stderr", plain)
    with progress.bar("fetching", 5, wanted=True) as tell, progress.spinner("fetching", wanted=True) as spin:
        tell(1, 1, 1)
        spin(1)
    assert plain.getvalue() == ""

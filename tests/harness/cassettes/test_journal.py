"""A recording that is killed has lost the call under way at most, and knows what it spent."""

import json
import random
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harness import clock
from harness.cassettes.journal import About, Journal, Sent, Session
from harness.cassettes.limits import Allowance
from harness.errors import HarnessError
from tests.harness.cassettes.made import CLOCK, asked, interaction
from tests.support.repository import ROOT

ABOUT = About("emulator", CLOCK, "us", {"event_count": 1})
WRITER = """
import sys
from pathlib import Path
from harness.cassettes.journal import Journal
from tests.harness.cassettes.made import interaction
journal = Journal(Path(sys.argv[1]))
for number in range(100_000):
    journal.append(interaction(number, b"x" * 20_000))
    print(number, flush=True)
"""


def test_what_was_appended_is_read_again_in_its_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a" / "b.jsonl")
    for number in range(5):
        journal.append(interaction(number))
    assert journal.read() == [interaction(number) for number in range(5)]
    assert stat.S_IMODE((tmp_path / "a" / "b.jsonl").stat().st_mode) == 0o600


def test_a_journal_that_is_cut_anywhere_has_all_but_its_last_line(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    for number in range(3):
        Journal(file).append(interaction(number))
    data = file.read_bytes()
    for end in range(len(data) + 1):
        file.write_bytes(data[:end])
        assert Journal(file).read() == [interaction(number) for number in range(data[:end].count(b"\n"))]
        # What a kill left is gone, and what comes next stands on a line of its own.
        Journal(file).append(interaction(9))
        assert Journal(file).read()[-1] == interaction(9)


@pytest.mark.parametrize("line", [b"{}\n", b"no json\n", b'{"request":1,"answer":2}\n', b"[" * 50_000 + b"\n"])
def test_a_journal_that_is_none_is_an_error_and_not_an_empty_one(line: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(line)
    with pytest.raises(HarnessError) as error:
        Journal(tmp_path / "a.jsonl").read()
    assert error.value.code == "JOURNAL_UNREADABLE"


def kills(file: Path, seed: int, times: int) -> None:
    """Kill a writer so many times, each after as many lines as the seed says."""
    chance = random.Random(seed)  # noqa: S311 -- when to kill, and no secret
    for _ in range(times):
        file.unlink(missing_ok=True)
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(file)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for _ in range(chance.randrange(1, 200)):
                told = int(process.stdout.readline())
            process.kill()
        found = Journal(file).read()
        assert len(found) > told, "what was told to be written is there"
        assert found == [interaction(number, b"x" * 20_000) for number in range(len(found))]


def test_a_writer_that_is_killed_has_written_all_it_told(tmp_path: Path) -> None:
    kills(tmp_path / "a.jsonl", seed=1, times=4)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_writer_that_is_killed_hundreds_of_times(tmp_path: Path) -> None:
    kills(tmp_path / "a.jsonl", seed=2, times=300)


def test_a_session_is_private_and_gone_on_with(tmp_path: Path) -> None:
    session = Session(tmp_path / "session")
    assert session.about() is None
    session.begin(ABOUT)
    session.journal("live/funnel--example").append(interaction(1))
    session.journal("live/funnel--fails", apart=True).append(interaction(2))
    again = Session(tmp_path / "session")
    assert again.about() == ABOUT
    assert list(again.known().values()) == [interaction(1)], "a Mixpanel that fails answers for no other case"
    assert stat.S_IMODE(session.directory.stat().st_mode) == 0o700
    again.forget()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{}", "[]", json.dumps({"target": "moon", "clock": "x", "region": "us"})])
def test_a_session_that_cannot_be_read_is_an_error(text: str, tmp_path: Path) -> None:
    session = Session(tmp_path / "session")
    session.begin(ABOUT)
    (session.directory / "session.json").write_text(text)
    with pytest.raises(HarnessError, match="--anew"):
        session.about()


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """The wall clock, whose one entry a test sets."""
    at = [datetime(2025, 6, 30, 12, tzinfo=UTC)]
    monkeypatch.setattr(clock, "now", lambda: at[0])
    return at


def test_an_hour_has_sixty_queries_also_across_kills(tmp_path: Path, hands: list[datetime]) -> None:
    allowance = Allowance(Sent(tmp_path / "sent"))
    for _ in range(30):
        assert allowance.ask(asked()) is None
        hands[0] += timedelta(seconds=10)
    allowance = Allowance(Sent(tmp_path / "sent"))
    script = asked("https://mixpanel.com/api/query/jql", "POST")
    assert [allowance.ask(script) for _ in range(30)] == [None] * 30, "scripts are queries too"
    refused = allowance.ask(asked())
    assert refused is not None
    assert refused["until"] == "2025-06-30T13:00:00+00:00"
    assert "60 query calls" in refused["cause"]
    assert allowance.ask(asked("https://data.mixpanel.com/api/2.0/export")) is None, (
        "exports have a budget of their own"
    )
    assert allowance.ask(asked("https://mixpanel.com/api/app/me")) is None
    hands[0] = datetime(2025, 6, 30, 13, 0, 1, tzinfo=UTC)
    assert allowance.ask(asked()) is None
    assert allowance.ask(asked()) is not None


def test_a_line_that_a_kill_cut_short_does_no_harm(tmp_path: Path, hands: list[datetime]) -> None:
    file = tmp_path / "sent"
    Sent(file).note("query")
    for end in range(len(file.read_bytes())):
        cut = tmp_path / f"cut{end}"
        cut.write_bytes(file.read_bytes()[:end])
        assert len(Sent(cut).within_the_hour(["query"])) <= 1

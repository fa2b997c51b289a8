"""A recording from live Mixpanel: here an emulator with an account, a region and limits of its own is taken for it.

Nothing that a recording does is another's for that: only that the server is told of an address in place of Mixpanel's.
"""

import itertools
import os
import re
import subprocess
import sys
import urllib.request
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from harness import clock
from harness.cassettes import canonical, record, scan, tape, written
from harness.cassettes.record import DATA, Outcome, Wish
from harness.cassettes.studio import Studio
from harness.cassettes.tape import Tape
from harness.errors import HarnessError
from harness.suite import facts, isolation, run
from harness.suite.cases import CASES
from harness.suite.report import text
from harness.suite.taped import answering, place, tape_cases
from tests.harness.doctor.bending import proxy
from tests.support.emulator import Emulator, running_emulator
from tests.support.repository import ROOT

TAPES = ROOT / "fixtures" / "cassettes"
SECRET = "canary-live-secret/with+odd letters"
USERNAME, PROJECT = "local-emulator.7c7c7c.mp-service-account", "2195193"
OPS, TOKEN = "ann.lee@corp.example", "9f8e7d6c5b4a39281706f5e4d3c2b1a098765432"
INSTANT = "2025-06-30T23:59:59.999000+00:00"
HOUR = 60
PATIENCE_S = 280.0
NAMES = (
    "list_events--all",
    "segmentation--by-browser",
    "segmentation--misspelt-event",
    "segmentation--rate-limited",
    "sql--orders-by-name",
    "jql--events-by-name",
    "list_bookmarks--one-of-two",
    "stream_profiles--two-users",
    "activity_feed--the-last-three",
    "event_counts--before-there-was-anything",
    "safe_large_fetch--declined",
)
SUBSET = tuple(case for case in CASES if case.id in NAMES)
KEPT = tuple(case for case in SUBSET if case.fault is None)
THERE = 4
"""At so many answers, each of another case, the recording is killed: three are on tape, and one is on its way."""
KILLED = """
import sys
from pathlib import Path
from tests.harness.suite.test_live import recorded
recorded(Path(sys.argv[1]), sys.argv[2])
"""


@dataclass
class Live:
    """What is taken for Mixpanel.

    passed: told each of its answers before the recording has it
    """

    emulator: Emulator
    passed: Callable[[bytes], object] = len

    def asked(self) -> list[str]:
        """The last requests, but for those of somebody else."""
        rows = (f"{each['method']} {each['path']}?{each['query']}" for each in self.emulator.requests())
        return [row for row in rows if "Spent" not in row]

    def spend(self, calls: int) -> None:
        """Somebody else of the project asks."""
        who = b64encode(f"{USERNAME}:{SECRET}".encode()).decode()
        query = f"project_id={PROJECT}&event=Spent&from_date=2025-06-01&to_date=2025-06-01&unit=day"
        url = f"{self.emulator.url}/eu/api/query/segmentation?{query}"
        for _ in range(calls):
            request = urllib.request.Request(url, headers={"Authorization": f"Basic {who}"})  # noqa: S310 -- loopback
            urllib.request.urlopen(request, timeout=PATIENCE_S).close()  # noqa: S310 -- the same

    def traced(self, body: bytes) -> bytes:
        """The answer with somebody and a token where the library does not look."""
        self.passed(body)
        return body.replace(b'{"status":', f'{{"traced":"{TOKEN} {OPS}","status":'.encode(), 1)


@pytest.fixture
def live(tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Live, str]]:
    """An emulator that is taken for Mixpanel, and the address by which the server gets there."""
    monkeypatch.setenv("EMULATOR_SECRET", SECRET)
    own = ("--region", "eu", "--project-id", PROJECT, "--username", USERNAME, "--limits", "mixpanel")
    with running_emulator(tmp_path / "emulator.log", *DATA, *own, cache_dir=cache_dir) as emulator:
        taken = Live(emulator)
        with proxy(int(emulator.url.rpartition(":")[2]), changed=taken.traced) as port:
            yield taken, f"http://127.0.0.1:{port}/eu"


def recorded(home: Path, url: str) -> Outcome:
    """Record from live Mixpanel, which is at this address."""
    start = Studio.host

    def there(studio: Studio, session: Path, credentials: Any, base_url: str | None) -> Any:
        assert base_url is None, "live Mixpanel is asked by its own name"
        return start(studio, session, credentials, url)

    account = {"MP_USERNAME": USERNAME, "MP_SECRET": SECRET, "MP_PROJECT_ID": PROJECT, "MP_REGION": "eu"}
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), **account}
    wish, cases = Wish(home / "tapes", target="live", caller=answering), tape_cases(facts.load(), SUBSET)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Studio, "host", there)
        patch.setattr(clock, "now", lambda: datetime.fromisoformat(INSTANT))
        return record.record(wish, cases, home / "state", environment, show=lambda _: None, tell=lambda _: None)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Where it records; what a killed one left running is ended also where the test breaks off."""
    made = tmp_path / "home"
    made.mkdir()
    yield made
    with Studio(made / "state" / "studio", {}).opened():
        pass


def killed_at(number: int, live: Live, command: list[str], environment: dict[str, str]) -> None:
    """Run a program that is killed when so many answers have come, the last of them on its way."""
    passing, started = itertools.count(1), Future[subprocess.Popen[bytes]]()
    live.passed = lambda _: started.result().kill() if next(passing) == number else None
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL) as process:
        started.set_result(process)
        assert process.wait(PATIENCE_S) == -9
    live.passed = len


@pytest.mark.timeout(900)
def test_live_mixpanel_is_recorded_through_a_kill_and_a_spent_hour_and_its_tapes_are_as_an_emulators(
    live: tuple[Live, str], home: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    mixpanel, url = live
    killed_at(THERE, mixpanel, [sys.executable, "-c", KILLED, str(home), url], environment)
    before = {case: file.read_bytes() for case, file in tape.found(home / "tapes").items()}
    assert len(before) == THERE - 1
    asked = mixpanel.asked()

    # The project's hour is spent: it stops, and keeps what it has.
    mixpanel.spend(HOUR - sum("/api/query/" in each for each in asked))
    with pytest.raises(HarnessError) as stopped:
        recorded(home, url)
    assert stopped.value.code == "RATE_LIMITED"
    assert "HTTP 429" in stopped.value.cause
    assert "nothing that was asked is asked again" in stopped.value.cause

    # An hour later.
    mixpanel.emulator.tell("POST", "reset", {})
    outcome = recorded(home, url)
    assert outcome.bad == {}
    files = tape.found(home / "tapes")
    assert set(files) == {place(case) for case in KEPT}, "Mixpanel does not fail on demand"
    assert {case: files[case].read_bytes() for case in before} == before
    assert not (home / "state" / "session").exists()
    often = Counter([*asked, *mixpanel.asked()])
    assert sum(often.values()) - len(often) <= 2, "but the call under way at the kill, and the one that was refused"

    # Nothing on them tells whose they are.
    texts = {case: file.read_text() for case, file in files.items()}
    canaries = [SECRET, USERNAME, OPS, TOKEN, f"{USERNAME}:{SECRET}", "user-000001@example.test"]
    assert [str(each) for each in scan.scan(scan.everything(home / "tapes"), canaries=canaries)] == []
    for word in (*canaries, PROJECT, "127.0.0.1", "/eu/"):
        assert [case for case, said in texts.items() if word in said] == []
    assert len(set(re.findall(r'"traced": ?"([^"]*)"', "".join(texts.values())))) == 1, "nobody has two stand-ins"

    # And they play as those of the emulator do, for a server of another account and region.
    wish = run.Wish(tapes=home / "tapes", cases=KEPT, workers=1)
    report = run.run(wish, tmp_path / "stage", environment, isolation.guarded("a test"))
    assert report.good, text(report)
    for case in map(place, KEPT):
        ours, theirs = written.read(home / "tapes", case), written.read(TAPES, case)
        assert (ours.recorded.target, ours.recorded.region, ours.recorded.data) == ("live", "eu", None)
        assert told(ours) == told(theirs), case


def told(whole: Tape) -> list[tuple[str, int, bytes]]:
    """Each request and what was answered, but for who was named, and where the project is."""
    nobody = re.compile(rb'"traced":"[^"]*",|[A-Za-z0-9-]+@[a-z.]+|"(?:eu\.)?mixpanel\.com"')
    answers = ((canonical.key(each.asked), each.answer) for each in whole.interactions)
    return [(key, answer.status, nobody.sub(b"", answer.body)) for key, answer in answers]

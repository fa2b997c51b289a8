"""Tools that take minutes: the server's pings bring them to the page, and nothing else does.

Every client here gives up after 20 s without a byte, and every question takes longer. They cost nothing while they
wait, so all are asked at once, each in a page of its own, and each test looks at one of them.

Source: reference/mcp-and-vcr-facts.md, "Timeouts"
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import DATA_SET, Whole
from tests.mp_mcp_server.conftest import environment, running_server
from tests.support.copilot import Copilot, running_copilot
from tests.support.emulator import Emulator
from tests.support.faults import going_wrong
from tests.support.page import PATIENCE_MS, begin, finished, opened, rows_of
from tests.support.ports import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

NOW = {"MP_NOW": DATA_SET.last_day.isoformat()}
YESTERDAY = (DATA_SET.last_day - timedelta(days=1)).isoformat()
QUESTION = f"stream_events from_date={YESTERDAY} to_date={YESTERDAY} limit=5"
SILENCE_S, DEADLINE_S = 20, 10
SERVERS: Mapping[str, tuple[str, ...]] = {
    "of old": ("--of-old",),
    "of old, no pings": ("--of-old", "--without-pings"),
    "no pings": ("--without-pings",),
    "blocked": ("--blocked",),
}
"""What each of our own servers has been deprived of."""


@dataclass(frozen=True)
class Asked:
    """The same question, asked in several pages at once.

    seconds: how long Mixpanel takes to answer it
    pages: what stands behind a page → the page
    copilots: the same, for those that are not the whole stack's
    """

    seconds: int
    whole: Whole
    pages: Mapping[str, Page]
    copilots: Mapping[str, Copilot]

    def answer(self, behind: str) -> Any:
        """The part of the page with the whole answer."""
        return finished(self.pages[behind], 1000 * self.seconds + PATIENCE_MS)

    def took_s(self, behind: str) -> float:
        """How long the tool ran, as the page says."""
        said = self.answer(behind).locator(".steps .time").last.text_content() or ""
        found = re.fullmatch(r"(?:(\d+) min )?([\d.]+) s", said)
        assert found, said
        return 60 * int(found[1] or 0) + float(found[2])


@pytest.fixture(
    scope="module", params=[60, pytest.param(360, marks=pytest.mark.soak)], ids=lambda seconds: f"{seconds} s"
)
def asked(request: pytest.FixtureRequest, whole: Whole, browser: Browser, tmp_path_factory: Any) -> Iterator[Asked]:
    """The question under way, behind the front door and behind servers that lack something."""
    seconds = int(request.param)
    place: Path = tmp_path_factory.mktemp("long")
    about = httpx.get(f"{whole.emulator.url}/_emulator/about", timeout=30, trust_env=False).json()
    account = environment(place, **Emulator(whole.emulator.url, about).environment, **NOW)
    urls, copilots = {"nothing": whole.url}, dict[str, Copilot]()
    with ExitStack() as ends:

        def start(name: str, mcp_url: str, **variables: str) -> None:
            silence = {"COPILOT_SILENCE_MS": str(1000 * SILENCE_S)}
            log = place / f"{name}.log"
            copilot = ends.enter_context(running_copilot(log, free_port(), mcp_url, **NOW, **silence, **variables))
            urls[name], copilots[name] = copilot.url, copilot

        for name, lacks in SERVERS.items():
            options = ("--transport", "http", "--db", str(place / f"{name}.db"), *lacks)
            server = ends.enter_context(running_server(account, *options, program="tests.support.slow_server"))
            start(name, server.url)
        start("deadline", copilots["of old"].about()["mcp_url"], COPILOT_TOOL_MS=str(1000 * DEADLINE_S))
        pages = {name: ends.enter_context(opened(browser, url)) for name, url in urls.items()}
        ends.enter_context(
            going_wrong(whole.emulator, {"kind": "latency", "value": 1000 * seconds, "path": "*/export*"})
        )
        for page in pages.values():
            begin(page, QUESTION)
        for page in pages.values():
            expect(page.get_by_role("img", name="running")).to_be_visible()
        yield Asked(seconds, whole, pages, copilots)


@pytest.mark.parametrize("lacking", ["nothing", "of old"])
def test_pings_bring_a_long_tool_to_the_page(asked: Asked, lacking: str) -> None:
    """In the protocol of today, through the front door, and in that of the handshake era."""
    answer = asked.answer(lacking)
    assert len(rows_of(answer)) == 5
    expect(answer.get_by_role("img", name="done")).to_be_visible()
    expect(answer.get_by_role("alert")).to_have_count(0)
    # The page's own watch, which may have been late to begin: far longer than silence is borne, all the same.
    assert asked.took_s(lacking) > 2 * SILENCE_S


@pytest.mark.parametrize(
    ("lacking", "code", "part", "issue"),
    [
        ("of old, no pings", "UND_ERR_BODY_TIMEOUT", "body time-out", "body-timeout"),
        ("no pings", "UND_ERR_HEADERS_TIMEOUT", "headers time-out", "headers-timeout"),
        ("blocked", "UND_ERR_HEADERS_TIMEOUT", "headers time-out", "headers-timeout"),
    ],
)
def test_without_pings_the_client_gives_up_and_harness_explains_it(
    asked: Asked, lacking: str, code: str, part: str, issue: str
) -> None:
    answer = asked.answer(lacking)
    expect(answer.get_by_role("alert")).to_contain_text(code)
    expect(answer.get_by_role("alert")).to_contain_text(part)
    # Once, and not once more: a repetition would take as long, and may end in what hides the cause.
    assert "Reconnecting" not in asked.copilots[lacking].said()
    explained(asked, asked.copilots[lacking].log, code, issue)


def test_a_passed_deadline_is_shown_as_one(asked: Asked) -> None:
    answer = asked.answer("deadline")
    expect(answer.get_by_role("alert")).to_contain_text("TOOL_DEADLINE")
    expect(answer.get_by_role("alert")).to_contain_text(f"{DEADLINE_S} s, the deadline of every tool call")
    explained(asked, asked.copilots["deadline"].log, "TOOL_DEADLINE", "call-deadline")


def explained(asked: Asked, log: Path, code: str, issue: str) -> None:
    """Both the one line and the whole log lead to the same known issue, with its cause and its solution."""
    (line, *_) = [line for line in log.read_text().splitlines() if code in line]
    (found,) = asked.whole.stack.good("explain", line)["issues"]
    assert found["id"] == issue
    assert found["cause"]
    assert found["solution"]
    scanned = asked.whole.stack.harness("logs", "--scan", str(log), "--json")
    assert scanned.exit_code == 1
    # A blocked server is missed by others later, too.
    assert next(each["id"] for each in scanned.json["findings"] if each["weight"] == "fault") == issue

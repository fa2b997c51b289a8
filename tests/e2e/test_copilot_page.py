"""The copilot's page in a browser: what a person sees of an answer, of an error, and of a tool that asks."""

import json
import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from fixtures.dataset import truths
from fixtures.dataset.truths import Truths
from tests.e2e.conftest import DATA_SET, Whole
from tests.support import brute_force
from tests.support.copilot import running_copilot
from tests.support.faults import going_wrong
from tests.support.page import ask, begin, finished, opened, rows_of
from tests.support.ports import free_port
from tests.support.repository import ROOT

pytestmark = pytest.mark.e2e

ARTEFACTS = ROOT / "artefacts/copilot"
NOW = {"MP_NOW": DATA_SET.last_day.isoformat()}
YESTERDAY = (DATA_SET.last_day - timedelta(days=1)).isoformat()
SLOW = {"kind": "latency", "value": 60_000, "path": "*/segmentation*"}
LOOKS: list[tuple[str, int, int, Any]] = [
    ("wide-light", 1280, 900, "light"), ("wide-dark", 1280, 900, "dark"),
    ("narrow-light", 390, 844, "light"), ("narrow-dark", 390, 844, "dark"),
]  # fmt: skip


@pytest.fixture(scope="module")
def truth() -> Truths:
    return truths(DATA_SET.seed, DATA_SET.users, DATA_SET.days, DATA_SET.last_day)


@pytest.fixture
def page(browser: Browser, whole: Whole) -> Iterator[Page]:
    """The page through the front door, just opened."""
    with opened(browser, whole.url) as page:
        yield page


def test_three_questions_find_the_planted_truths(page: Page, truth: Truths, raw_events: list[dict[str, Any]]) -> None:
    drop, bottleneck = truth.metric_drop, truth.funnel_bottleneck
    assert drop is not None
    assert bottleneck is not None
    in_every_look(page, "0-welcome")
    fell = ask(page, f"Why did {drop.event} fall?")
    for said in [drop.day, f"{100 * drop.realised_share:.1f} %", *drop.segment.values()]:
        expect(fell.locator(".words")).to_contain_text(said)
    expect(fell.get_by_role("img", name="Line chart").first).to_be_visible()
    in_every_look(page, "1-drop")

    funnels = rows_of(ask(page, "Which funnels are there?"))
    (funnel,) = [name for number, name in funnels if number == str(bottleneck.funnel_id)]
    drains = ask(page, f"Where do users drop out of the {funnel} funnel?")
    ((name, value),) = bottleneck.segment.items()
    for said in [bottleneck.step, f"{name} = {value}"]:
        expect(drains.locator(".words")).to_contain_text(said)
    in_every_look(page, "2-funnel")

    top = ask(page, "What were yesterday's top events?")
    counts = Counter(one["event"] for one in raw_events if brute_force.day_of(one) == YESTERDAY)
    assert {event: int(count) for event, count in rows_of(top)} == dict(counts)
    in_every_look(page, "3-top")


def in_every_look(page: Page, name: str) -> None:
    """Keep pictures of the last answer, wide and narrow, light and dark; nothing may stick out of the window."""
    for look, width, height, scheme in LOOKS:
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme)
        page.evaluate("document.querySelector('article.turn:last-child')?.scrollIntoView({behavior: 'instant'})")
        shoot(page, f"{look}-{name}")
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def shoot(page: Page, name: str) -> None:
    """Keep a picture of the window once nothing in it moves."""
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    still = "() => new Promise(done => { const at = scrollY; setTimeout(() => done(at === scrollY), 120); })"
    page.wait_for_function(still)
    page.screenshot(path=ARTEFACTS / f"{name}.png")


def test_the_whole_way_can_be_gone_by_keyboard(page: Page) -> None:
    expect(page.get_by_label("Your question")).to_be_focused()
    page.keyboard.type("Which events are there?")
    page.keyboard.press("Enter")
    finished(page)
    expect(page.get_by_label("Your question")).to_be_focused()
    expect(page.locator("#status")).to_contain_text("Answer: ")
    for _ in range(3):
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    focused = page.evaluate("document.activeElement.tagName")
    assert focused in {"SUMMARY", "DIV", "BUTTON"}


def test_a_dialog_asks_for_what_the_tool_asks(page: Page) -> None:
    begin(page, "Guide me through an analysis")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("guided_analysis asks")
    shoot(page, "dialog")
    dialog.get_by_label("Focus").select_option(label="engagement")
    dialog.get_by_role("button", name="Continue").click()
    expect(dialog.get_by_label("Property")).to_be_visible()
    dialog.get_by_role("button", name="Decline").click()
    answer = finished(page)
    expect(dialog).to_be_hidden()
    expect(answer.get_by_role("img", name="done")).not_to_have_count(0)


def test_escape_in_a_dialog_cancels_the_question_and_not_the_chat(page: Page) -> None:
    begin(page, "Guide me through an analysis")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    answer = finished(page)
    expect(answer.locator(".words")).to_contain_text("closed without an answer")


def test_a_running_tool_shows_its_time_and_can_be_cancelled(page: Page, whole: Whole) -> None:
    with going_wrong(whole.emulator, SLOW):
        begin(page, f"segmentation event=Search from_date={YESTERDAY} to_date={YESTERDAY} unit=hour")
        expect(page.get_by_role("img", name="running")).to_be_visible()
        expect(page.locator(".steps .time")).to_have_text(re.compile(r"^[1-9]\d*(\.\d)? s$"))
        shoot(page, "running")
        page.get_by_role("button", name="Cancel").click()
        answer = finished(page)
    expect(answer).to_contain_text("Cancelled.")
    expect(answer.get_by_role("img", name="cancelled")).to_be_visible()


def test_an_error_shows_its_cause_and_its_fix(page: Page) -> None:
    answer = ask(page, f"segmentation event=Serch from_date={YESTERDAY} to_date={YESTERDAY}")
    alert = answer.get_by_role("alert")
    expect(alert).to_contain_text("Event not found: Serch")
    expect(alert).to_contain_text("What to do:")
    expect(alert).to_contain_text("EVENT_NOT_FOUND")
    shoot(page, "error")


HOSTILE = "<img src=x onerror=document.title='owned'><script>document.title='owned'</script>"


def test_markup_in_data_is_text(page: Page) -> None:
    answer = ask(page, f'segmentation event="{HOSTILE}" from_date={YESTERDAY} to_date={YESTERDAY}')
    expect(answer.get_by_role("alert")).to_contain_text("<img src=x")
    ask(page, f"fetch_events from_date={YESTERDAY} to_date={YESTERDAY}")
    query = f"select '{HOSTILE.replace(chr(39), chr(34))}' as \"<b>name</b>\", 3 as n"
    table = ask(page, f"sql query={json.dumps(query)}")
    expect(table.locator("td").first).to_contain_text("<img src=x")
    expect(table.locator("th").first).to_have_text("<b>name</b>")
    assert page.title() == "Mixpanel Copilot"
    assert page.locator("main img:not([role])").count() == 0
    assert page.locator("main script, main b").count() == 0


def test_what_is_long_or_much_or_reads_from_the_right_keeps_to_the_window(page: Page) -> None:
    word, arabic = "Supercalifragilistic" * 40, "ما هي الأحداث الأكثر شيوعًا أمس؟"
    answer = {
        "series": {name: {f"2025-06-{day:02}": day - 9 for day in range(1, 31)} for name in (word, arabic)},
        "rows": [{word: word, "name": arabic, "count": number} for number in range(1000)],
    }
    text = f"{arabic}\n\n- {arabic}\n- {word}"
    chunks: list[dict[str, Any]] = [
        {"type": "tool-input-available", "toolCallId": "1", "toolName": word, "input": {word: word}},
        {"type": "tool-output-available", "toolCallId": "1", "output": {"structuredContent": answer}},
        {"type": "text-start", "id": "t"},
        {"type": "text-delta", "id": "t", "delta": text},
    ]
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    page.route("**/api/chat", lambda route: route.fulfill(content_type="text/event-stream", body=body))
    page.set_viewport_size({"width": 320, "height": 800})
    told = ask(page, arabic)
    expect(told.get_by_role("img", name="Line chart")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    # What lies below 0 is drawn within the picture.
    assert told.locator("polyline").first.evaluate("line => line.getBBox().y + line.getBBox().height <= 240")
    assert told.locator(".words p").first.evaluate("one => getComputedStyle(one).direction") == "rtl"
    told.get_by_role("button", name="Show 200 of 1000 rows").click()
    expect(told).to_contain_text("These are the first 200 of 1000 rows.")
    in_every_look(page, "4-hostile")


def test_a_server_that_is_killed_is_told_and_the_next_question_works_after_harness_up(page: Page, whole: Whole) -> None:
    with going_wrong(whole.emulator, SLOW):
        begin(page, f"segmentation event=Search from_date={YESTERDAY} to_date={YESTERDAY} unit=week")
        expect(page.get_by_role("img", name="running")).to_be_visible()
        # The call itself must be under way, not the listing of tools before it.
        expect(page.get_by_text("segmentation", exact=True).last).to_be_visible()
        (pid,) = [one["pid"] for one in whole.stack.good("status")["services"] if one["name"] == "mcp"]
        os.kill(pid, signal.SIGKILL)
        answer = finished(page)
    expect(answer.get_by_role("alert")).to_contain_text("segmentation could not be finished", ignore_case=True)
    expect(answer.get_by_role("alert")).to_contain_text("harness up")
    expect(page.locator("#tools")).to_have_text("MCP server not reached: harness up")
    shoot(page, "server-gone")
    whole.stack.good("up")
    expect(ask(page, "Which funnels are there?").locator("table")).to_be_visible()
    expect(page.locator("#tools")).to_contain_text("tools of 2 servers")


def test_a_copilot_that_ended_is_told_too(browser: Browser, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/mcp"
    with ExitStack() as stack:
        copilot = stack.enter_context(running_copilot(tmp_path / "log", free_port(), url, **NOW))
        page = stack.enter_context(opened(browser, copilot.url))
        expect(ask(page, "Which events are there?").get_by_role("alert")).to_contain_text("nobody answers at")
        copilot.process.terminate()
        copilot.process.wait(timeout=90)
        expect(ask(page, "Which events are there?").get_by_role("alert")).to_contain_text(
            "The copilot does not answer", ignore_case=True
        )

"""The copilot's page in a real browser: opened, asked, and read."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = "/usr/bin/chromium"
PATIENCE_MS = 90_000
"""What a page may take for anything, on a machine that is busy; a click waits as long as an expectation does."""

expect.set_options(timeout=PATIENCE_MS)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The distribution's own browser, without a window."""
    with sync_playwright() as playwright:
        # Chromium's own sandbox refuses to run as root, which a container is.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, url: str) -> Iterator[Page]:
    """The page at this address; red at the end for any error of its own, or a breach of its policy."""
    # What turns while a tool runs is painted by the processor here, sixty times a second.
    page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light", reduced_motion="reduce")
    errors: list[str] = []
    page.set_default_timeout(PATIENCE_MS)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda one: errors.append(one.text) if "Content Security" in one.text else None)
    try:
        page.goto(url)
        expect(page.locator("#voice")).to_have_text("Planner, no language model")
        yield page
    finally:
        page.close()
    assert errors == []


def ask(page: Page, question: str) -> Any:
    """Ask, and wait until the answer is whole; the part of the page with it."""
    begin(page, question)
    return finished(page)


def begin(page: Page, question: str) -> None:
    """Ask, and wait for nothing."""
    page.get_by_label("Your question").fill(question)
    page.get_by_role("button", name="Ask", exact=True).click()


def finished(page: Page, patience_ms: float = PATIENCE_MS) -> Any:
    """The last answer, once it is whole."""
    expect(page.get_by_role("button", name="Ask", exact=True)).to_be_visible(timeout=patience_ms)
    return page.locator("article.turn").last


def rows_of(part: Any) -> list[list[str]]:
    """The cells of the tables in a part of the page, row by row."""
    rows: list[list[str]] = part.locator("table tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return rows

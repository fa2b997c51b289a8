"""Reports of a run: the same findings for a person, for JUnit, for programs and as a page, whatever is in an answer."""

import errno
import json
import re
import xml.etree.ElementTree as ET
from importlib.resources import files
from pathlib import Path

import pytest
from playwright.sync_api import Dialog, expect

from harness.cassettes.tape import AskedBack
from harness.errors import HarnessError
from harness.suite.answer import Answer
from harness.suite.case import Kind
from harness.suite.cases import CASES, EXEMPTIONS
from harness.suite.expect import Miss
from harness.suite.judge import Verdict, judge
from harness.suite.page import FOLDED, OPEN, TEMPLATE, page
from harness.suite.report import Layer, Report, Result, junit, text, write
from tests.support import schemas
from tests.support.page import PATIENCE_MS, chromium

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\x00\x1b[31m & ]]>"


ASKED = (
    AskedBack("elicitation/create", {"message": f"Fetch {HOSTILE}?"}, {"action": "accept", "content": {"go": HOSTILE}}),
    AskedBack(
        "sampling/createMessage",
        {"messages": [{"role": "user", "content": {"type": "text", "text": "Put it into words"}}]},
        {"role": "assistant", "content": {"type": "text", "text": "It fell by 3 %."}},
    ),
)


def result_of(number: int, *misses: Miss, layer: Layer | None = None) -> Result:
    answer = Answer(failed=False, content={"result": HOSTILE}, asked=ASKED[number : number + 1])
    return Result(Verdict(CASES[number], "http", answer, misses, 0.01 * number), upstream=number, layer=layer)


def report_of(*results: Result, attempts: tuple[str, ...] = (), unused: tuple[str, ...] = ()) -> Report:
    return Report("2025-06-30T12:00:00+00:00", "replay", 1.5, results, EXEMPTIONS, attempts, "a namespace", unused)


RED = report_of(
    result_of(0),
    result_of(1, Miss("/result", "3", HOSTILE), layer=Layer("http", ("- GET /a", f"+ GET /{HOSTILE}"))),
    attempts=("connect 192.0.2.1:443",),
    unused=("live/funnel--old: GET /api/query/funnels",),
)


def test_a_run_is_good_only_if_nothing_at_all_is_wrong() -> None:
    assert report_of(result_of(0)).good
    assert not report_of(result_of(0, Miss("/x", "1", "2"))).good
    assert not report_of(result_of(0), attempts=("connect",)).good
    assert not report_of(result_of(0), unused=("a",)).good
    broken = Result(Verdict(CASES[0], "http", None, (), 0.0, broken="the tape is cut"), 0)
    assert not report_of(broken).good
    assert "the tape is cut" in text(report_of(broken))


def test_the_table_names_what_is_red_and_why() -> None:
    told = text(RED)
    assert f"✗ {CASES[1].id} by http" in told
    assert "wanted 3" in told
    assert "first differs in the layer http" in told
    assert "✗ tried to leave this machine: connect 192.0.2.1:443" in told
    assert "✗ recorded and not asked for: live/funnel--old" in told
    assert "2 cases, 1 red, 1.5 s, from replay" in told


def test_junit_counts_the_same() -> None:
    (suite,) = ET.fromstring(junit(RED))  # noqa: S314 - our own
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("http", "2", "1")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert "alert(1)" in (failure.text or "")
    assert "\x1b" not in junit(RED)


def test_json_holds_everything() -> None:
    told = json.loads(json.dumps(RED.to_dict()))
    assert told["good"] is False
    assert [case["good"] for case in told["cases"]] == [True, False]
    assert told["cases"][1]["layer"]["name"] == "http"
    assert told["cases"][1]["upstream_calls"] == 1
    assert [case["asked_back"][0]["reply"] for case in told["cases"]] == [dict(each.reply) for each in ASKED]
    assert "asked_back" not in report_of(result_of(2)).to_dict()["cases"][0]
    schemas.hold(["suite", "--json"], json.dumps(told), "")
    assert len(told["exemptions"]) == len(EXEMPTIONS)


def test_the_page_stands_alone_and_shows_nothing_of_an_answer_as_markup() -> None:
    shown = page(RED)
    assert "<script" not in shown
    assert "&lt;script&gt;alert(1)" in shown
    assert "<!-- " not in shown
    assert not [word for word in ("http://", "https://", "<img", "<link", "\x00", "\x1b") if word in shown]
    assert "default-src 'none'" in shown
    assert all(kind.value in shown for kind in Kind)
    assert f'href="#red-http-{CASES[1].id}"' in shown
    assert f'id="red-http-{CASES[1].id}"' in shown
    assert "All good" in page(report_of(result_of(0)))


def test_the_page_shows_what_was_asked_back_and_what_was_answered() -> None:
    shown = page(report_of(result_of(1), result_of(2)))
    assert "sampling/createMessage: “Put it into words” <b>“It fell by 3 %.”</b>" in shown
    assert shown.count('<td class="asked"></td>') == 1, "the other was asked nothing"


MANY = report_of(
    *(
        result_of(
            number,
            Miss("/result", "3", HOSTILE * 20),
            layer=Layer(("mcp", "http", "copilot")[number % 3], ("- was", f"+ {HOSTILE * 20}")),
        )
        for number in range(3 * FOLDED)
    ),
    *(result_of(number) for number in range(3 * FOLDED, len(CASES))),
    attempts=("192.0.2.1:443",) * 8,
)


def test_red_cases_stand_in_the_order_of_their_layers_and_most_are_folded() -> None:
    shown = page(MANY)
    assert re.findall(r'class="layer">(\w+)', shown) == ["http"] * FOLDED + ["mcp"] * FOLDED + ["copilot"] * FOLDED
    assert shown.count('<details class="trouble" open>') == OPEN
    assert f"<summary>{2 * FOLDED} more</summary>" in shown
    assert "192.0.2.1:443, 8 times" in shown
    assert "192.0.2.1:443, 8 times" in text(MANY)
    assert len(shown) < 400_000


def test_what_an_answer_says_is_short_and_harmless_on_a_terminal() -> None:
    told = text(MANY)
    assert "\x1b" not in told
    assert "\x00" not in told
    assert "more characters)" in told
    assert max(map(len, told.splitlines())) < 500
    assert MANY.to_dict()["cases"][0]["why"][0].count("alert(2)") > 1


def test_the_page_is_read_by_keyboard_on_a_narrow_screen_and_runs_nothing(tmp_path: Path) -> None:
    write(tmp_path / "red.html", page(MANY))
    last = MANY.results[3 * FOLDED - 1].case.id
    with chromium() as browser:
        shown = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme="dark")
        shown.set_default_timeout(PATIENCE_MS)
        seen: list[str] = []

        def heard(dialog: Dialog) -> None:
            seen.append(dialog.message)
            dialog.dismiss()

        shown.on("dialog", heard)
        shown.on("pageerror", lambda error: seen.append(str(error)))
        shown.on("request", lambda request: seen.append(request.url))
        shown.goto((tmp_path / "red.html").as_uri())
        assert seen == [(tmp_path / "red.html").as_uri()]
        assert shown.evaluate("document.documentElement.scrollWidth") == 390
        why = shown.locator(f"#red-http-{last}")
        expect(why).to_be_hidden()
        link = shown.locator(f'.matrix a[href="#red-http-{last}"]')
        if link.count() == 0:
            shown.get_by_text(re.compile("Show all")).first.press("Enter")
            link = shown.locator(f'tr a[href="#red-http-{last}"]')
        link.press("Enter")
        expect(why).to_be_visible()
        assert shown.locator("[tabindex='0'][role=region]").count() == 3
        assert len(seen) == 1


def test_the_page_is_readable_in_both_schemes() -> None:
    style = files("harness.suite").joinpath(TEMPLATE).read_text(encoding="utf-8")
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", part)) for part in style.split("prefers-color-scheme: dark", 1)
    )
    assert set(light) == set(dark)
    pairs = (
        *((ink, ground) for ink in ("ink", "faint", "good", "red", "focus") for ground in ("ground", "raised")),
        ("good", "good-ground"), ("red", "red-ground"),
    )  # fmt: skip
    for colours in (light, dark):
        found = {pair: contrast(*(colours[name] for name in pair)) for pair in pairs}
        assert {pair: ratio for pair, ratio in found.items() if ratio < 4.5} == {}, "WCAG 2.2, AA"


def contrast(one: str, other: str) -> float:
    """WCAG's ratio of two colours."""
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write(tmp_path / "new" / "report.html", "all")
    assert (tmp_path / "new" / "report.html").read_text() == "all"
    with pytest.raises(HarnessError) as caught:
        write(tmp_path / "new", "a directory")
    assert caught.value.code == "NOT_WRITTEN"
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["new", "report.html"]


def test_where_nothing_can_be_written_or_removed_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    for deed in ("write_text", "unlink"):
        monkeypatch.setattr(Path, deed, refuses)
    with pytest.raises(HarnessError) as error:
        write(tmp_path / "page.html", "all")
    assert (error.value.code, error.value.cause) == (
        "NOT_WRITTEN",
        f"{tmp_path / 'page.html'} cannot be written: Read-only file system",
    )


def test_a_judge_asks_every_expectation() -> None:
    verdict = judge(CASES[0], "http", Answer(failed=False, content={"result": []}), {"events": ["a"]}, 0.1)
    assert [miss.where for miss in verdict.misses] == ["/result", "/truncated"]

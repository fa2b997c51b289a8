"""Reports of a run: the same findings for a person, for JUnit, for programs and as a page, whatever is in an answer."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.suite.answer import Answer
from harness.suite.case import Kind
from harness.suite.cases import CASES, EXEMPTIONS
from harness.suite.expect import Miss
from harness.suite.judge import Verdict, judge
from harness.suite.page import page
from harness.suite.report import Layer, Report, Result, junit, text, write

HOSTILE = "<script>alert(1)</script>\x00\x1b[31m & ]]>"


def result_of(number: int, *misses: Miss, layer: Layer | None = None) -> Result:
    answer = Answer(failed=False, content={"result": HOSTILE})
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
    assert len(told["exemptions"]) == len(EXEMPTIONS)


def test_the_page_stands_alone_and_shows_nothing_of_an_answer_as_markup() -> None:
    shown = page(RED)
    assert "<script" not in shown
    assert "&lt;script&gt;alert(1)" in shown
    assert "<!-- " not in shown
    assert not [word for word in ("http://", "https://", "src=", "<link") if word in shown]
    assert all(kind.value in shown for kind in Kind)
    assert f'href="#red-http-{CASES[1].id}"' in shown
    assert f'id="red-http-{CASES[1].id}"' in shown
    assert "All good" in page(report_of(result_of(0)))


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write(tmp_path / "new" / "report.html", "all")
    assert (tmp_path / "new" / "report.html").read_text() == "all"
    with pytest.raises(HarnessError) as caught:
        write(tmp_path / "new", "a directory")
    assert caught.value.code == "NOT_WRITTEN"
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["new", "report.html"]


def test_a_judge_asks_every_expectation() -> None:
    verdict = judge(CASES[0], "http", Answer(failed=False, content={"result": []}), {"events": ["a"]}, 0.1)
    assert [miss.where for miss in verdict.misses] == ["/result", "/truncated"]

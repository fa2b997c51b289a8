"""The whole suite from recordings, as the command runs it: by every way in, in any order, without a network."""

import json
import random
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.suite import isolation, layers, run, ways
from harness.suite.case import Case, Kind
from harness.suite.cases import CASES
from harness.suite.report import Report, Result, text
from mp_mcp_server.catalogue import TOOLS
from tests.support import schemas
from tests.support.repository import ROOT

TAPES = ROOT / "fixtures" / "cassettes"
PATIENCE_S = 280.0
ON_TAPE = tuple(case for case in CASES if case.via == "tape")
ON_WIRE = tuple(case for case in CASES if case.via == "emulator-fault")
SEED = 20250630
Run = Callable[..., Report]


@pytest.fixture
def suite(tmp_path: Path, environment: dict[str, str], cache_dir: Path) -> Run:
    """Run cases within this process; the servers are processes of their own."""

    def running(cases: tuple[Case, ...], *, given: dict[str, str] | None = None, **said: Any) -> Report:
        usual: dict[str, Any] = {"tapes": TAPES, "workers": 1, "cache_dir": cache_dir}
        wish = run.Wish(cases=cases, **{**usual, **said})
        return run.run(wish, tmp_path / "stage", environment | (given or {}), isolation.guarded("a test"))

    return running


def some(cases: tuple[Case, ...], number: int, seed: int = SEED) -> tuple[Case, ...]:
    """So many of them, the same for a seed."""
    choice = random.Random(seed)  # noqa: S311 -- which cases, not a secret
    return tuple(choice.sample(cases, min(number, len(cases))))


def distinct(*cases: Case) -> tuple[Case, ...]:
    return tuple({case.id: case for case in cases}.values())


def case_named(name: str) -> Case:
    return next(case for case in CASES if case.id == name)


def commanded(directory: Path, environment: dict[str, str], *arguments: str) -> tuple[int, Any, str]:
    """`harness suite`: exit status, what it printed as JSON, what it said."""
    own = {"HARNESS_STATE_DIR": str(directory / "state"), "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, "-m", "harness.cli", "suite", "--json", "--tapes", str(TAPES), *arguments],
        cwd=directory, env=environment | own, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    schemas.hold(["suite", "--json"], ran.stdout, ran.stderr)
    return ran.returncode, json.loads(ran.stdout or "null"), ran.stderr


def test_every_case_holds_from_its_tape_where_there_is_no_network(tmp_path: Path, environment: dict[str, str]) -> None:
    junit, page = tmp_path / "junit.xml", tmp_path / "page.html"
    status, said, err = commanded(
        tmp_path, environment, "--tapes-only", "--shuffle", "7", "--junit", str(junit), "--html", str(page)
    )
    assert said, err
    red = [(case["id"], case["why"]) for case in said["cases"] if not case["good"]]
    assert (status, red, said["attempts_to_leave"], said["unused_recordings"]) == (0, [], [], [])
    assert len(said["cases"]) == len(ON_TAPE)
    assert {case["tool"] for case in said["cases"]} == {spec.name for spec in TOOLS}
    assert "namespace" in said["isolation"]
    (suite,) = ET.parse(junit).getroot()  # noqa: S314 - our own
    assert (int(suite.get("tests", 0)), suite.get("failures")) == (len(ON_TAPE), "0")
    assert "src=" not in page.read_text()
    assert "All good" in page.read_text()


def test_order_and_number_of_servers_change_nothing(suite: Run) -> None:
    cases = some(tuple(case for case in ON_TAPE if not case.before), 20)
    one = suite(cases, seed=1)
    other = suite(cases, seed=2, workers=2)
    assert told(one) == told(other)
    assert one.good, text(one)


def told(report: Report) -> list[Any]:
    """What came of each case, without how long it took."""
    return [(each.case.id, each.good, each.upstream, steady(each)) for each in report.results]


def steady(result: Result) -> Any:
    answer = result.verdict.answer
    content = answer.content if answer else {}
    # Rows by chance are other rows each time, in memory as in DuckDB.
    return None if result.case.tool == "sample" else layers._steady(content)


@pytest.mark.parametrize("way", [way for way in ways.WAYS if way != "http"])
def test_a_sample_holds_by_every_other_way_in(suite: Run, way: str) -> None:
    # Each case by stdio is a server of its own.
    sample = tuple(map(case_named, ways.SAMPLE))[: 3 if way == "stdio" else None]
    asking = tuple(case_named(f"safe_large_fetch--{name}") for name in ("confirmed", "declined", "nobody-to-ask"))
    more = () if way in ways.SAMPLED else (*asking, *some(tuple(case for case in ON_TAPE if not case.before), 12))
    cases = distinct(*sample, *more)
    report = suite(cases, ways=(way,))
    assert report.good, text(report)
    assert len(report.results) == len([case for case in cases if ways.cannot(way, case) is None]) >= len(sample)


@pytest.mark.soak
@pytest.mark.parametrize("way", ["handshake", "copilot"])
def test_every_case_holds_by_every_other_way_in(suite: Run, way: str) -> None:
    report = suite(CASES, ways=(way,), workers=2)
    assert report.good, text(report)
    assert len(report.results) > 300


def test_what_no_tape_can_hold_holds_before_an_emulator(suite: Run) -> None:
    names = ("fetch_events--cancelled-midway", "stream_events--stalled-midway")
    slow = ("fetch_events--time-out", "fetch_profiles--time-out")
    quick = tuple(case for case in ON_WIRE if case.kind is Kind.TIMEOUT and case.id not in slow)
    report = suite((*map(case_named, names), *some(quick, 3)))
    assert report.good, text(report)
    assert len(report.results) == 5


@pytest.mark.soak
def test_all_that_no_tape_can_hold_holds_before_an_emulator(suite: Run) -> None:
    report = suite(ON_WIRE, workers=2)
    assert report.good, text(report)


def test_it_holds_with_the_clock_a_year_ahead(suite: Run, tmp_path: Path) -> None:
    shim = tmp_path / "ahead.so"
    built = subprocess.run(
        ["cc", "-shared", "-fPIC", "-O1", "-o", str(shim), "-x", "c", "-", "-ldl"],
        input=AHEAD, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    ahead = {"LD_PRELOAD": str(shim)}
    asked = [sys.executable, "-c", "import time; print(time.time())"]
    shown = subprocess.run(asked, env=ahead, capture_output=True, text=True, check=True).stdout
    assert float(shown) - time.time() > 360 * 86400
    cases = (*map(case_named, ("top_events--five", "ask_mixpanel--users-of-last-week")), *some(ON_TAPE, 12))
    report = suite(distinct(*cases), given=ahead)
    assert report.good, text(report)


AHEAD = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>
static const long YEAR = 366L * 86400;
int clock_gettime(clockid_t which, struct timespec *at) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int status = real(which, at);
  if (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE) at->tv_sec += YEAR;
  return status;
}
time_t time(time_t *at) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (at) *at = now.tv_sec;
  return now.tv_sec;
}
int gettimeofday(struct timeval *at, void *zone) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  at->tv_sec = now.tv_sec;
  at->tv_usec = now.tv_nsec / 1000;
  return 0;
}
"""

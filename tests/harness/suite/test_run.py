"""The whole suite from recordings, as the command runs it: by every way in, in any order, without a network."""

import json
import random
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harness.cassettes import steady
from harness.errors import HarnessError
from harness.suite import isolation, run, ways
from harness.suite.case import Case, Kind
from harness.suite.cases import CASES
from harness.suite.report import Report, text
from harness.suite.stage import Stage
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


def test_every_case_holds_from_its_tape_where_there_is_no_network_and_the_clock_is_a_year_ahead(
    tmp_path: Path, environment: dict[str, str], ahead: dict[str, str]
) -> None:
    junit, page = tmp_path / "junit.xml", tmp_path / "page.html"
    status, said, err = commanded(
        tmp_path, environment | ahead, "--tapes-only", "--shuffle", "7", "--junit", str(junit), "--html", str(page)
    )
    assert said, err
    red = [(case["id"], case["why"]) for case in said["cases"] if not case["good"]]
    assert (status, red, said["attempts_to_leave"], said["unused_recordings"]) == (0, [], [], [])
    assert len(said["cases"]) == len(ON_TAPE)
    assert {case["tool"] for case in said["cases"]} == {spec.name for spec in TOOLS}
    assert "namespace" in said["isolation"]
    assert datetime.fromisoformat(said["at"]) > datetime.now(UTC) + timedelta(days=360)
    (suite,) = ET.parse(junit).getroot()  # noqa: S314 - our own
    assert (int(suite.get("tests", 0)), suite.get("failures")) == (len(ON_TAPE), "0")
    assert "src=" not in page.read_text()
    assert "All good" in page.read_text()


def test_neither_order_nor_company_nor_a_second_time_changes_anything(suite: Run) -> None:
    cheap = tuple(case for case in ON_TAPE if not costs_a_fetch(case))
    cases = distinct(*some(cheap, 50), *map(case_named, ("sql--orders-by-name", "fetch_profiles--pros")))
    report = suite((*cases, *cases), seed=SEED, workers=2)
    assert report.good, text(report)
    assert {name: len(came) for name, came in told(report).items()} == {case.id: 2 for case in cases}
    assert {name: once for name, (once, again) in told(report).items() if once != again} == {}


def test_a_seed_is_an_order_and_none_is_that_of_the_cases() -> None:
    jobs = [("http", case) for case in ON_TAPE]
    plain, one, again, other = (run._ordered(run.Wish(TAPES, seed=seed), [*jobs]) for seed in (None, 1, 1, 2))
    assert plain == jobs
    assert one == again
    assert jobs != one != other != jobs
    assert {case.id for _, case in one} == {case.id for case in ON_TAPE}


@pytest.mark.soak
def test_neither_order_nor_company_nor_a_second_time_changes_anything_of_any_case(suite: Run) -> None:
    alone = suite(ON_TAPE, seed=1)
    crowd = suite((*ON_TAPE, *ON_TAPE), seed=2, workers=3)
    assert alone.good, text(alone)
    assert crowd.good, text(crowd)
    assert {name: came * 2 for name, came in told(alone).items()} == told(crowd)
    assert set(told(alone)) == {case.id for case in ON_TAPE}


def told(report: Report) -> dict[str, list[Any]]:
    """What came of each case, every time: how many requests, and what of the answer is not drawn by chance."""
    found: dict[str, list[Any]] = {}
    for each in report.results:
        assert each.verdict.answer is not None, each.why
        steadily = steady.result(each.verdict.answer.result(), each.case.varies)
        found.setdefault(each.case.id, []).append((each.upstream, steadily))
    return found


def test_a_sample_holds_by_every_other_way_over_http(suite: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    usual = Stage.player

    def counted(stage: Stage, *said: Any, transport: str) -> Any:
        started.append(transport)
        return usual(stage, *said, transport=transport)

    monkeypatch.setattr(Stage, "player", counted)
    sample = tuple(map(case_named, ways.SAMPLE))
    asking = tuple(case_named(f"safe_large_fetch--{name}") for name in ("confirmed", "declined", "nobody-to-ask"))
    more = some(tuple(case for case in ON_TAPE if not costs_a_fetch(case)), 8)
    cases, others = distinct(*sample, *asking, *more), ("handshake", "copilot", "sse")
    report = suite(cases, ways=others)
    assert report.good, text(report)
    went = {(each.verdict.way, each.case.id) for each in report.results}
    assert went == {(way, case.id) for way in others for case in cases if ways.cannot(way, case) is None}
    silent = [case for case in sample if case.replies is None and case.samples is None]
    assert {(way, case.id) for way in others for case in silent} <= went
    assert {("sse", case.id) for case in sample} <= went, "one that asks back too, in the handshake era"
    assert sorted(started) == ["http", "sse"], "ways to one address share its host"


def costs_a_fetch(case: Case) -> bool:
    """Whether rows are stored, which takes longer than all else."""
    return bool(case.before) or "fetch" in case.tool


def test_a_case_with_a_table_holds_over_stdio(suite: Run) -> None:
    # Each case is a server of its own; the whole sample is among what is soaked.
    report = suite((case_named("sql--orders-by-name"),), ways=("stdio",))
    assert report.good, text(report)
    assert [each.verdict.way for each in report.results] == ["stdio"]


@pytest.mark.soak
@pytest.mark.parametrize("way", [way for way in ways.WAYS if way != "http"])
def test_every_case_holds_by_every_other_way_in(suite: Run, way: str) -> None:
    report = suite(ON_TAPE, ways=(way,), workers=2)
    assert report.good, text(report)
    assert {each.case.id for each in report.results} == {case.id for case in ON_TAPE if not ways.cannot(way, case)}
    assert len(report.results) == len(ways.SAMPLE) if way in ways.SAMPLED else len(report.results) > 300


def test_a_run_of_nothing_is_not_green(suite: Run) -> None:
    late, sampled = case_named("list_funnels--time-out"), case_named("list_funnels--all")
    for cases, said, why in (
        ((late,), {"tapes_only": True}, "list_funnels--time-out by http: no tape can hold it"),
        ((sampled,), {"ways": ("stdio",)}, "list_funnels--all by stdio: a sample goes this way"),
    ):
        with pytest.raises(HarnessError) as error:
            suite(cases, **said)
        assert error.value.code == "NOTHING_TO_RUN"
        assert why in error.value.cause


def test_what_is_among_the_tapes_and_is_none_makes_a_whole_run_red(tmp_path: Path) -> None:
    for name in ("live/segmentation-by-browser.yaml", "live/segmentation--that-was.yaml", "facts.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert run._unused(run.Wish(tmp_path)) == ("live/segmentation--that-was", "live/segmentation-by-browser.yaml")
    assert run._unused(run.Wish(TAPES)) == ()


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


@pytest.mark.soak
@pytest.mark.parametrize("year", ["this", "next"])
def test_every_case_holds_with_the_clock_of_either_year(suite: Run, ahead: dict[str, str], year: str) -> None:
    report = suite(CASES, given=ahead if year == "next" else {}, workers=2)
    assert report.good, text(report)
    assert len(report.results) == len(CASES)


@pytest.fixture
def ahead(tmp_path: Path) -> dict[str, str]:
    """What sets the clock of a program a year ahead."""
    shim = tmp_path / "ahead.so"
    built = subprocess.run(
        ["cc", "-shared", "-fPIC", "-O1", "-o", str(shim), "-x", "c", "-", "-ldl"],
        input=AHEAD, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    found = {"LD_PRELOAD": str(shim)}
    asked = [sys.executable, "-c", "import time; print(time.time())"]
    shown = subprocess.run(asked, env=found, capture_output=True, text=True, check=True).stdout
    assert float(shown) - time.time() > 360 * 86400
    return found


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

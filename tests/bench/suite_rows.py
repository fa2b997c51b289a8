"""ROWS_SUITE: how long the whole suite takes from recordings, and its good cases at servers that are warm."""

import os
import queue
import threading
import time
from pathlib import Path

from harness.cassettes import launch
from harness.suite import facts, isolation, run, ways
from harness.suite.case import Case, Kind
from harness.suite.cases import CASES
from harness.suite.desks import Held, PlayDesk
from harness.suite.stage import Stage
from mp_mcp_server.catalogue import TOOLS
from tests.bench.rows import Row
from tests.support.repository import ROOT

TAPES = ROOT / launch.TAPES
SERVERS = 2
FIRST = {case.tool: case for case in reversed(CASES) if case.kind is Kind.GOOD}
GOOD = tuple(FIRST[spec.name] for spec in TOOLS)


def good_cases_s(scratch: Path) -> float:
    """39 good cases at two servers that have each answered before."""
    stage, known = Stage(scratch / "stage", dict(os.environ)), facts.load()
    with stage.opened():
        desks = []
        for number in range(SERVERS):
            host = stage.player(number, TAPES)
            client = ways.over_http("http", host.running.port)
            desks.append(PlayDesk(Held("http", TAPES, known), host, client))
        for desk in desks:
            for name in ("list_events", "sql"):
                assert desk.take(FIRST[name]).good
        waiting: queue.SimpleQueue[Case] = queue.SimpleQueue()
        for case in GOOD:
            waiting.put(case)
        threads = [threading.Thread(target=_all, args=(desk, waiting)) for desk in desks]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.perf_counter() - began


def every_case_s(scratch: Path) -> float:
    """All cases through HTTP, from nothing to the report."""
    report = run.run(run.Wish(TAPES), scratch / "stage", dict(os.environ), isolation.guarded("a measurement"))
    assert report.good, report.red
    return report.seconds


def _all(desk: PlayDesk, waiting: "queue.SimpleQueue[Case]") -> None:
    while True:
        try:
            case = waiting.get_nowait()
        except queue.Empty:
            return
        result = desk.take(case)
        assert result.good, result.why


ROWS_SUITE = (
    Row("suite: 39 good cases through HTTP, servers warm", "s", good_cases_s, "< 3 s", lambda s: s < 3),
    Row("suite: every case through HTTP", "s", every_case_s, "< 60 s", lambda s: s < 60),
)

"""ROWS_SERVER: what our server adds to FastMCP and DuckDB, and that long work leaves room for the rest."""

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import httpx

from fixtures.dataset import Arguments
from mixpanel_data import Workspace
from tests.bench.emulator_rows import LAST_DAY, MILLION, serving
from tests.bench.rows import Row
from tests.support.mcp_wire import Wire
from tests.support.mute_server import mute_server

WARM_UP, CALLS = 20, 200
SMALL = Arguments(users=2_000, days=60, last_day=LAST_DAY)
QUERY = "select event_name, count(*) as n from events group by 1 order by n desc"


@contextmanager
def started(home: Path, module: str, *options: str, **variables: str) -> Iterator[str]:
    """A server process; yields the URL that it says it listens at."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MP_")}
    env = kept | {"HOME": str(home), "MP_CONFIG_PATH": str(home / "none.toml")} | variables
    # to a file, as under the harness: whoever reads a pipe of it is woken at each line, in the midst of a measurement
    log = home / f"{module}.log"
    with (
        log.open("w") as written,
        subprocess.Popen([sys.executable, "-m", module, *options], stderr=written, env=env) as process,
    ):
        try:
            while not (said := [line for line in log.read_text().splitlines() if "listening on " in line]):
                assert process.poll() is None, log.read_text()
                time.sleep(0.02)
            yield said[0].split()[-1]
        finally:
            process.terminate()
            process.wait(timeout=20)


def _ms(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1000


def start_beyond_fastmcp(scratch: Path) -> float:
    """How much more work it is to build an application than to import FastMCP, in seconds of processor time.

    Importing is all work and no waiting, so that on an idle machine these are the seconds of the clock, and on another
    one the same. `import fastmcp` alone loads next to nothing: nobody has a server by it.
    """

    # compiled once, as an installed package is
    compiled = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env = compiled | {"PYTHONPYCACHEPREFIX": str(scratch / "compiled")}

    def once(statement: str) -> float:
        with subprocess.Popen([sys.executable, "-c", statement], env=env) as process:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return used.ru_utime + used.ru_stime

    floor = "from fastmcp import FastMCP"
    ours = "from mp_mcp_server.server import application, build; application(build(), 'http')"
    for statement in (floor, ours):
        once(statement)
    pairs = [(once(floor), once(ours)) for _ in range(7)]
    return statistics.median(mine for _, mine in pairs) - statistics.median(least for least, _ in pairs)


def over_the_floor(tool: str, arguments: dict[str, str], own: Callable[[Workspace], object]) -> Callable[[Path], float]:
    """A local tool's warm median, as a share of what it may take: 1.3 times a tool that does nothing, and the library's
    own time."""

    def measure(scratch: Path) -> float:
        with serving(SMALL, scratch) as emulator:
            variables = emulator.environment | {"MP_NOW": str(SMALL.last_day)}
            store = scratch / "store.db"
            options = ("--transport", "http", "--port", "0", "--db", str(store))
            with (
                started(scratch, "mp_mcp_server.cli", *options, **variables) as url,
                started(scratch, "tests.bench.trivial_server") as floor_url,
                Wire(url) as ours,
                Wire(floor_url) as floor,
            ):
                ours.call("fetch_events", from_date=str(SMALL.last_day), to_date=str(SMALL.last_day))
                with Workspace.open(store) as workspace:
                    asked = (
                        lambda: floor.call("nothing"),
                        lambda: ours.call(tool, **arguments),
                        lambda: own(workspace),
                    )
                    # in turn, so that whoever else uses the machine disturbs all three alike
                    rounds = [[_ms(ask) for ask in asked] for _ in range(WARM_UP + CALLS)][WARM_UP:]
        least, mine, alone = (statistics.median(column) for column in zip(*rounds, strict=True))
        share: float = mine / (1.3 * least + alone)
        return share

    return measure


def others_during_a_fetch(scratch: Path) -> float:
    """The 99th percentile of list_tables while a million events are fetched, against that of an idle server."""
    with serving(MILLION, scratch) as emulator:
        variables = emulator.environment | {"MP_NOW": str(MILLION.last_day)}
        options = ("--transport", "http", "--port", "0", "--db", str(scratch / "store.db"))
        with started(scratch, "mp_mcp_server.cli", *options, **variables) as url, Wire(url) as wire, Wire(url) as other:
            day = str(MILLION.last_day)
            wire.call("fetch_events", from_date=day, to_date=day, table="small")
            idle = [_ms(lambda: wire.call("list_tables")) for _ in range(WARM_UP + 5 * CALLS)][WARM_UP:]
            busy: list[float] = []
            whole = {"from_date": str(MILLION.last_day - timedelta(days=99)), "to_date": day}
            fetch = threading.Thread(target=lambda: other.call("fetch_events", table="large", **whole))
            fetch.start()
            while fetch.is_alive():
                busy.append(_ms(lambda: wire.call("list_tables")))
            fetch.join()
    return _p99(busy) / _p99(idle)


def end_under_a_call(scratch: Path) -> float:
    """From SIGTERM to the process's end while Mixpanel keeps a call waiting, in seconds."""
    with mute_server() as mixpanel:
        account = {"MP_USERNAME": "someone", "MP_SECRET": "canary-91c4", "MP_PROJECT_ID": "1", "MP_REGION": "us"}
        options = ("--transport", "http", "--port", "0", "--db", str(scratch / "store.db"))
        with started(scratch, "mp_mcp_server.cli", *options, **account, MP_API_BASE_URL=mixpanel.url) as url:
            caller = threading.Thread(target=_ask, args=(url,))
            caller.start()
            mixpanel.until(asked=1)
            began = time.perf_counter()
        ended = time.perf_counter() - began
        caller.join()
    return ended


def _ask(url: str) -> None:
    """Make a call that the server's end may break off."""
    with Wire(url) as wire, suppress(httpx.TransportError, AssertionError):
        wire.call("list_events")


def _p99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100)[98]


ROWS_SERVER: tuple[Row, ...] = (
    Row(
        "server: built, beyond the import of FastMCP",
        "s",
        start_beyond_fastmcp,
        "≤ 0.3 s",
        lambda s: s <= 0.3,
    ),
    Row(
        "server: list_tables, of 1.3 × a tool that does nothing + the library's own time",
        "×",
        over_the_floor("list_tables", {}, lambda workspace: workspace.tables()),
        "≤ 1",
        lambda share: share <= 1,
    ),
    Row(
        "server: sql, of 1.3 × a tool that does nothing + the library's own time",
        "×",
        over_the_floor("sql", {"query": QUERY}, lambda workspace: workspace.select(QUERY)),
        "≤ 1",
        lambda share: share <= 1,
    ),
    Row(
        "server: p99 of list_tables during a fetch of a million events, against idle",
        "×",
        others_during_a_fetch,
        "≤ 3 ×",
        lambda times: times <= 3,
    ),
    Row("server: its end while a call waits for Mixpanel", "s", end_under_a_call, "< 2 s", lambda s: s < 2),
)

"""ROWS_HARNESS: what the harness adds to its services' own start and end, and the same commands under honcho."""

import functools
import os
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fixtures.dataset import Arguments, build
from harness import settings
from harness.stack import ports, readiness
from harness.stack.service import Launch, Service, complete_environment
from harness.stack.services import SERVICES
from tests.bench.rows import Row
from tests.support.stack import Stack, taken_down

ROUNDS = 3
LOOK_S = 0.002
EMULATOR, MCP = SERVICES[:2]


@dataclass(frozen=True)
class Figures:
    """Medians in seconds of the same emulator and server, started and ended in three ways.

    own: by themselves, each spawned as soon as what it needs answers, and seen to answer within two milliseconds
    harness: the whole commands `harness up` and `harness down`; within: of `up`, from its lock to its last answer
    honcho: `honcho start`, which starts both at once, until both answer
    """

    own_start: float
    own_stop: float
    harness_start: float
    harness_within: float
    harness_stop: float
    honcho_start: float
    honcho_stop: float


def _now() -> float:
    return time.perf_counter()


def _answers(service: Service, port: int) -> readiness.Climb:
    """Wait until the whole ladder of a service holds, looking all the time."""
    climb = readiness.Climb(service, port)
    for rung in service.ladder:
        while True:
            try:
                readiness.climb_rung(climb, rung)
                break
            except readiness.RungError:
                time.sleep(LOOK_S)
    return climb


def _freed(*own: int) -> None:
    while not all(ports.is_free(port) for port in own):
        time.sleep(LOOK_S)


@contextmanager
def _process(
    command: tuple[str, ...], environment: Mapping[str, str], log: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("wb") as sink:
        process = subprocess.Popen(command, env=dict(environment), cwd=log.parent, stdout=sink, stderr=sink)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def _launch(stack: Stack, about: Mapping[str, Mapping[str, object]]) -> Launch:
    found = settings.load(None, directory=stack.directory, environment=stack.environment)
    return Launch(found, stack.state_dir, about)


def _alone(stack: Stack) -> tuple[float, float, Mapping[str, Mapping[str, object]]]:
    """Start both, one behind the other, and end them; their times, and what the emulator says of itself."""
    own = (stack.ports["emulator"], stack.ports["mcp"])
    (stack.state_dir / "data").mkdir(parents=True, exist_ok=True)
    began = _now()
    bare = _launch(stack, {})
    command, environment = EMULATOR.command(bare), complete_environment(EMULATOR, bare)
    with _process(command, environment, stack.directory / "emulator.log") as emulator:
        about = {"emulator": _answers(EMULATOR, own[0]).about}
        launch = _launch(stack, about)
        with _process(MCP.command(launch), complete_environment(MCP, launch), stack.directory / "mcp.log") as server:
            _answers(MCP, own[1])
            started = _now()
            for process in (server, emulator):
                process.terminate()
                process.wait()
            _freed(*own)
            return started - began, _now() - started, about


def _honcho(stack: Stack, about: Mapping[str, Mapping[str, object]]) -> tuple[float, float]:
    """The same two commands from a Procfile."""
    launch = _launch(stack, about)
    lines = []
    for service in (EMULATOR, MCP):
        inherited = launch.settings.environment
        own = {
            name: value for name, value in complete_environment(service, launch).items() if inherited.get(name) != value
        }
        said = " ".join(f"{name}={shlex.quote(value)}" for name, value in own.items())
        lines.append(f"{service.name}: {said} exec {shlex.join(service.command(launch))}")
    (stack.directory / "Procfile").write_text("\n".join(lines) + "\n")
    program = str(Path(sys.executable).with_name("honcho"))
    environment = {name: value for name, value in stack.environment.items() if not name.startswith("HARNESS_")}
    began = _now()
    with _process((program, "start"), environment, stack.directory / "honcho.log") as process:
        _answers(EMULATOR, stack.ports["emulator"])
        _answers(MCP, stack.ports["mcp"])
        started = _now()
        process.send_signal(signal.SIGTERM)
        process.wait()
        _freed(stack.ports["emulator"], stack.ports["mcp"])
        return started - began, _now() - started


def _harness(stack: Stack) -> tuple[float, float, float]:
    began = _now()
    stack.good("up")
    started = _now()
    within = stack.good("status")["timing"]["took_s"]
    ending = _now()
    stack.good("down")
    return started - began, float(within), _now() - ending


@functools.cache
def figures() -> Figures:
    """All of it once, the three ways in turn, so that whoever else uses the machine disturbs them alike."""
    rows: list[tuple[float, ...]] = []
    with tempfile.TemporaryDirectory(prefix="bench-harness-") as scratch:
        cache = Path(scratch) / "cache"
        build(Arguments(last_day=datetime.now(UTC).date() - timedelta(days=1)), cache)
        for number in range(ROUNDS + 1):
            directory = Path(scratch) / str(number)
            directory.mkdir()
            with taken_down(Stack(directory, cache)) as stack:
                own_start, own_stop, about = _alone(stack)
                rows.append((own_start, own_stop, *_harness(stack), *_honcho(stack, about)))
    # The first round compiles and caches, for all of them.
    return Figures(*(statistics.median(column) for column in zip(*rows[1:], strict=True)))


def _figure(read: Callable[[Figures], float]) -> Callable[[Path], float]:
    return lambda _scratch: read(figures())


def help_(_scratch: Path) -> float:
    """The median time of `harness --help`."""
    program = Path(sys.executable).with_name("harness")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HARNESS_")}

    def once() -> float:
        began = _now()
        subprocess.run([program, "--help"], check=True, capture_output=True, env=environment)
        return _now() - began

    once()
    return statistics.median(once() for _ in range(9))


ROWS_HARNESS: tuple[Row, ...] = (
    Row("harness --help", "s", help_, "< 0.25 s", lambda s: s < 0.25),
    Row(
        "harness up: what it adds to its services' own start, from its lock to the last answer",
        "s",
        _figure(lambda found: found.harness_within - found.own_start),
        "< 0.2 s",
        lambda s: s < 0.2,
    ),
    Row("start: emulator and server by themselves, in order", "s", _figure(lambda found: found.own_start)),
    Row("start: harness up, the whole command", "s", _figure(lambda found: found.harness_start)),
    Row("start: honcho, both at once", "s", _figure(lambda found: found.honcho_start)),
    Row("stop: emulator and server by themselves, in order", "s", _figure(lambda found: found.own_stop)),
    Row("stop: harness down, the whole command", "s", _figure(lambda found: found.harness_stop)),
    Row("stop: honcho", "s", _figure(lambda found: found.honcho_stop)),
)

"""Run cases: by which ways in, at how many hosts at once, and what came of all of it."""

import contextlib
import functools
import itertools
import queue
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import clock
from harness.cassettes import record, tape
from harness.errors import Exit, HarnessError, nearest
from harness.stack import copilot
from harness.suite import facts, ways
from harness.suite.case import Case
from harness.suite.cases import CASES, EXEMPTIONS
from harness.suite.desks import Desk, Held, PipedDesk, PlayDesk, WireDesk
from harness.suite.isolation import Isolation
from harness.suite.report import Report, Result
from harness.suite.stage import Stage
from harness.suite.taped import place

Tell = Callable[[Result], object]

AGENT = copilot.OURS / "agent"
WIRE = "http"
"""The way in of cases that no tape can hold."""
WIRED_EACH = 12
"""So many of them are worth an emulator of their own."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be run.

    tapes: where they are
    ways: those of ways.WAYS by which every case goes that can
    cases: which; in the order of their desks, unless shuffled
    workers: how many hosts play at once
    tapes_only: leave out what no tape can hold
    seed: of the order; None takes the cases as they stand
    agent: where the copilot's client is
    cache_dir: where an emulator keeps its data sets; its own place when None
    """

    tapes: Path
    ways: tuple[str, ...] = ("http",)
    cases: tuple[Case, ...] = CASES
    workers: int = 2
    seed: int | None = None
    tapes_only: bool = False
    agent: Path = AGENT
    cache_dir: Path | None = None


@dataclass(slots=True)
class _Run:
    """What is shared by the threads of one run."""

    results: list[Result] = field(default_factory=list)
    attempts: list[str] = field(default_factory=list)
    failed: list[BaseException] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def chosen(tools: Sequence[str], names: Sequence[str]) -> tuple[Case, ...]:
    """The cases of these tools, or of these names; all when neither is said.

    Raises:
        HarnessError: UNKNOWN_TOOL, UNKNOWN_CASE (exit 2)
    """
    known = {"tool": {case.tool for case in CASES}, "case": {case.id for case in CASES}}
    for kind, said in (("tool", tools), ("case", names)):
        for each in said:
            if each not in known[kind]:
                raise HarnessError(
                    f"UNKNOWN_{kind.upper()}",
                    f"there is no {kind} {each!r}",
                    fix=nearest(each, sorted(known[kind])),
                    exit_code=Exit.USAGE,
                )
    if not tools and not names:
        return CASES
    return tuple(case for case in CASES if case.tool in tools or case.id in names)


def run(
    wish: Wish, directory: Path, environment: Mapping[str, str], isolation: Isolation, *, tell: Tell = lambda _: None
) -> Report:
    """Run all that is wished.

    Args:
        directory: private to runs of the suite
        environment: the caller's
        isolation: how this process is kept from the network
        tell: told each result as it comes, from several threads

    Raises:
        HarnessError: TAPES_MISSING; what the services say that cannot be started
    """
    began, at = clock.monotonic(), clock.now()
    known = facts.load()
    this = _Run()
    stage = Stage(directory, environment)
    with stage.opened():
        desks = _Desks(wish, stage, known, environment)
        threads = [threading.Thread(target=_work, args=(this, make, cases, tell)) for make, cases in desks.all()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if this.failed:
        raise this.failed[0]
    order, by = [case.id for case in CASES], list(ways.WAYS)
    results = sorted(this.results, key=lambda each: (order.index(each.case.id), by.index(each.verdict.way)))
    return Report(
        at=at.isoformat(timespec="seconds"),
        target=_target(results),
        seconds=clock.monotonic() - began,
        results=tuple(results),
        exemptions=EXEMPTIONS,
        attempts=tuple(this.attempts + isolation.attempts()),
        isolation=isolation.said,
        unused=_unused(wish),
    )


@dataclass(frozen=True, slots=True)
class _Desks:
    """Where cases are run."""

    wish: Wish
    stage: Stage
    facts: Mapping[str, Any]
    environment: Mapping[str, str]

    def all(self) -> Iterator[tuple[Callable[[], Desk], "queue.SimpleQueue[Case]"]]:
        """Each desk to be, with the queue that it takes its cases from."""
        wish, numbers = self.wish, itertools.count()
        for way in wish.ways:
            cases = _ordered(wish, [case for case in wish.cases if case.via == "tape" and not ways.cannot(way, case)])
            waiting = _queue(cases)
            for _ in range(min(wish.workers, len(cases))):
                yield functools.partial(self._playing, way, next(numbers)), waiting
        broken = _ordered(wish, [case for case in wish.cases if case.via == "emulator-fault"])
        if broken and WIRE in wish.ways and not wish.tapes_only:
            waiting = _queue(broken)
            for _ in range(min(wish.workers, 1 + len(broken) // WIRED_EACH)):
                yield functools.partial(self._wired, next(numbers)), waiting

    def _wired(self, number: int) -> Desk:
        cache = ("--cache-dir", str(self.wish.cache_dir)) if self.wish.cache_dir else ()
        return WireDesk(Held(WIRE, self.wish.tapes, self.facts), self.stage, number, (*record.DATA, *cache))

    def _playing(self, way: str, number: int) -> Desk:
        held = Held(way, self.wish.tapes, self.facts)
        if way == "stdio":
            return PipedDesk(held, self.stage, number)
        host = self.stage.player(number, held.tapes, transport="sse" if way == "sse" else "http")
        if way == "copilot":
            node = copilot.node(self.environment).binary
            return PlayDesk(held, host, ways.Copilot(self.stage.copilot(number, node, self.wish.agent, host.running)))
        return PlayDesk(held, host, ways.over_http(way, host.running.port))


def _work(this: _Run, make: Callable[[], Desk], waiting: "queue.SimpleQueue[Case]", tell: Tell) -> None:
    try:
        desk = make()
        with contextlib.closing(desk):
            while not this.failed:
                try:
                    case = waiting.get_nowait()
                except queue.Empty:
                    break
                result = desk.take(case)
                with this.lock:
                    this.results.append(result)
                tell(result)
            found = desk.attempts()
        with this.lock:
            this.attempts += found
    except BaseException as error:  # noqa: BLE001 -- raised again by whoever waits for the threads
        with this.lock:
            this.failed.append(error)


def _ordered(wish: Wish, cases: list[Case]) -> list[Case]:
    if wish.seed is not None:
        random.Random(wish.seed).shuffle(cases)  # noqa: S311 -- an order, not a secret
    return cases


def _queue(cases: Iterable[Case]) -> "queue.SimpleQueue[Case]":
    waiting: queue.SimpleQueue[Case] = queue.SimpleQueue()
    for case in cases:
        waiting.put(case)
    return waiting


def _target(results: Sequence[Result]) -> str:
    via = {"tape": "recordings", "emulator-fault": "an emulator that goes wrong"}
    return " and ".join(said for key, said in via.items() if any(each.case.via == key for each in results))


def _unused(wish: Wish) -> tuple[str, ...]:
    """Tapes that no case is of; asked of a whole run alone."""
    if wish.cases != CASES:
        return ()
    own = {place(case) for case in CASES if case.via == "tape"}
    return tuple(sorted(set(tape.found(wish.tapes)) - own))

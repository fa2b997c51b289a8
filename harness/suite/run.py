"""Run cases: by which ways in, at how many hosts at once, and what came of all of it."""

import contextlib
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
from harness.cassettes.studio import Host
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
Job = tuple[str, Case]
"""A way in, and the case that goes by it."""

AGENT = copilot.OURS / "agent"
WIRE = "http"
"""The way in of cases that no tape can hold."""
WIRED_EACH = 12
"""So many of them are worth an emulator of their own."""
AT_ONE_HOST = ("http", "handshake", "copilot")
"""Ways to the same address: one host serves them all."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be run.

    tapes: where they are
    ways: those of ways.WAYS by which every case goes that can
    cases: which, one way after the other unless shuffled; one that stands here twice is run twice
    workers: how many hosts play at once, whichever of AT_ONE_HOST lead to them
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
        HarnessError: NOTHING_TO_RUN (exit 2); what the services say that cannot be started
    """
    began, at = clock.monotonic(), clock.now()
    this = _Run()
    stage = Stage(directory, environment)
    desks = list(_Desks(wish, stage, facts.load(), environment).all())
    if not desks:
        raise _nothing(wish)
    with isolation.watched(), stage.opened():
        threads = [threading.Thread(target=_work, args=(this, make, jobs, tell)) for make, jobs in desks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if this.failed:
            raise this.failed[0]
        this.attempts += stage.attempts()
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

    def all(self) -> Iterator[tuple[Callable[[str], Desk], "queue.SimpleQueue[Job]"]]:
        """What makes a thread's desk for a way in, with the queue that the thread takes its jobs from."""
        wish, numbers = self.wish, itertools.count()
        together = tuple(way for way in wish.ways if way in AT_ONE_HOST)
        for group in (together, *((way,) for way in wish.ways if way not in together)):
            jobs = [(way, case) for way in group for case in wish.cases if case.via == "tape"]
            jobs = _ordered(wish, [(way, case) for way, case in jobs if not ways.cannot(way, case)])
            waiting = _queue(jobs)
            for _ in range(min(wish.workers, len(jobs))):
                yield self._playing(next(numbers)), waiting
        broken = _ordered(wish, [(WIRE, case) for case in wish.cases if case.via == "emulator-fault"])
        if broken and WIRE in wish.ways and not wish.tapes_only:
            waiting = _queue(broken)
            for _ in range(min(wish.workers, 1 + len(broken) // WIRED_EACH)):
                yield self._wired(next(numbers)), waiting

    def _wired(self, number: int) -> Callable[[str], Desk]:
        cache = ("--cache-dir", str(self.wish.cache_dir)) if self.wish.cache_dir else ()

        def made(way: str) -> Desk:
            return WireDesk(Held(way, self.wish.tapes, self.facts), self.stage, number, (*record.DATA, *cache))

        return made

    def _playing(self, number: int) -> Callable[[str], Desk]:
        hosts: dict[str, Host] = {}

        def made(way: str) -> Desk:
            held = Held(way, self.wish.tapes, self.facts)
            if way == "stdio":
                return PipedDesk(held, self.stage, number)
            transport = "sse" if way == "sse" else "http"
            if transport not in hosts:
                hosts[transport] = self.stage.player(number, held.tapes, transport=transport)
            host = hosts[transport]
            if way == "copilot":
                node = copilot.node(self.environment).binary
                program = self.stage.copilot(number, node, self.wish.agent, host.running)
                return PlayDesk(held, host, ways.Copilot(program))
            return PlayDesk(held, host, ways.over_http(way, host.running.port))

        return made


def _work(this: _Run, make: Callable[[str], Desk], waiting: "queue.SimpleQueue[Job]", tell: Tell) -> None:
    desks: dict[str, Desk] = {}
    try:
        with contextlib.ExitStack() as closing:
            while not this.failed:
                try:
                    way, case = waiting.get_nowait()
                except queue.Empty:
                    break
                if way not in desks:
                    desks[way] = closing.enter_context(contextlib.closing(make(way)))
                result = desks[way].take(case)
                with this.lock:
                    this.results.append(result)
                tell(result)
            found = [where for desk in desks.values() for where in desk.attempts()]
        with this.lock:
            this.attempts += found
    except BaseException as error:  # noqa: BLE001 -- raised again by whoever waits for the threads
        with this.lock:
            this.failed.append(error)


def _ordered(wish: Wish, jobs: list[Job]) -> list[Job]:
    if wish.seed is not None:
        random.Random(wish.seed).shuffle(jobs)  # noqa: S311 -- an order, not a secret
    return jobs


def _queue(jobs: Iterable[Job]) -> "queue.SimpleQueue[Job]":
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    return waiting


def _nothing(wish: Wish) -> HarnessError:
    """A run of no case would be green."""
    why = [
        f"{case.id} by {way}: {ways.cannot(way, case) or 'no tape can hold it'}"
        for case in wish.cases
        for way in wish.ways
    ]
    return HarnessError(
        "NOTHING_TO_RUN",
        "no case is left to be run: " + "; ".join(why[:3]),
        fix="name another case, or another way in; --tapes-only leaves out what no tape can hold",
        exit_code=Exit.USAGE,
    )


def _target(results: Sequence[Result]) -> str:
    via = {"tape": "recordings", "emulator-fault": "an emulator that goes wrong"}
    return " and ".join(said for key, said in via.items() if any(each.case.via == key for each in results))


def _unused(wish: Wish) -> tuple[str, ...]:
    """Tapes that no case is of, and what else is among them; asked of a whole run alone."""
    if wish.cases != CASES:
        return ()
    own = {place(case) for case in CASES if case.via == "tape"}
    return (*sorted(set(tape.found(wish.tapes)) - own), *tape.strays(wish.tapes, (facts.FILE,)))

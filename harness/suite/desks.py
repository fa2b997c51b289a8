"""Desks: each takes one case after the other, runs it by its way in, and says what came of it."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from harness import clock
from harness.cassettes import steady, written
from harness.cassettes.record import TRIES
from harness.cassettes.studio import Host, Running
from harness.cassettes.tape import AskedBack, Tape, Varies
from harness.errors import HarnessError
from harness.rpc import RpcError
from harness.suite import layers, ways
from harness.suite.answer import Answer
from harness.suite.case import Case
from harness.suite.client import CALL_S, Client, Person
from harness.suite.facts import settled
from harness.suite.judge import Verdict, judge
from harness.suite.report import Layer, Result
from harness.suite.stage import Stage
from harness.suite.taped import place
from harness.wire import Fault, WireError

Facts = Mapping[str, Any]


class BrokenError(Exception):
    """There is no answer to judge.

    asked: what was asked back before it broke off
    """

    def __init__(self, why: str, asked: tuple[AskedBack, ...] = ()) -> None:
        super().__init__(why)
        self.asked = asked


class Desk(Protocol):
    """Runs cases, one at a time."""

    def take(self, case: Case) -> Result:
        """Run one."""

    def attempts(self) -> list[str]:
        """Where what is its own tried to go beyond this machine; of services the stage knows it."""

    def close(self) -> None:
        """End what is its own; what it started as a service ends with the stage."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a case's own call came to."""

    result: Mapping[str, Any]
    answer: Answer
    seconds: float


@dataclass(frozen=True, slots=True)
class Held:
    """What cases are held against.

    way: the way in
    tapes: where they are
    """

    way: str
    tapes: Path
    facts: Facts


class PlayDesk:
    """Cases from their tapes, at a host that lives as long as the desk.

    Args:
        client: of that host's server
    """

    def __init__(self, held: Held, host: Host, client: Client) -> None:
        self._held, self._host, self._client = held, host, client

    def take(self, case: Case) -> Result:
        """See Desk."""
        self._host.play(place(case))
        try:
            asked = answered(self._client, case, self._held.facts)
        finally:
            report = self._host.end()
        result = judged(case, self._held, asked, report)
        if result.layer is not None and result.layer.name == "copilot":
            return replace(result, layer=self._below(case) or result.layer)
        if result.good and case.varies and isinstance(asked, Asked):
            return replace(result, verdict=replace(result.verdict, broken=self._needless(case, asked)))
        return result

    def _needless(self, case: Case, asked: Asked) -> str | None:
        """What a case declares to vary and does not, as far as a few calls can tell."""
        left: Sequence[Varies] = case.varies
        for _ in range(TRIES):
            self._host.play(place(case))
            try:
                again = answered(self._client, case, self._held.facts)
            finally:
                self._host.end()
            if isinstance(again, BrokenError):
                return f"called again: {again}"
            left = steady.needless(left, asked.result, again.result)
            if not left:
                return None
        return f"it declares that {left[0].place} varies ({left[0].reason}), and it was the same {TRIES + 1} times"

    def _below(self, case: Case) -> Layer | None:
        """What differs without the copilot, asked of the same host; None where nothing does."""
        self._host.play(place(case))
        try:
            asked = answered(ways.over_http("http", self._host.running.port), case, self._held.facts)
        finally:
            report = self._host.end()
        whole = written.read(self._held.tapes, place(case))
        return layers.first(whole, report["misses"], report["unused"], *_said(asked))

    def attempts(self) -> list[str]:
        """See Desk: its client's; the stage knows the host's."""
        return self._client.attempts() if isinstance(self._client, ways.Copilot) else []

    def close(self) -> None:
        """See Desk."""
        if isinstance(self._client, ways.Copilot):
            self._client.end()


class PipedDesk:
    """Cases from their tapes, each at a server of its own over stdio."""

    def __init__(self, held: Held, stage: Stage, number: int) -> None:
        self._held, self._stage, self._number = held, stage, number
        self._attempts: list[str] = []

    def take(self, case: Case) -> Result:
        """See Desk."""
        said = self._stage.state.path / f"report-{self._number}.json"
        said.unlink(missing_ok=True)
        with self._stage.piped(self._number, self._held.tapes, place(case), said) as program:
            client = ways.Piped(program, Person(case.replies, case.samples).capabilities)
            asked = answered(client, case, self._held.facts)
        try:
            report = json.loads(said.read_text(encoding="utf-8"))
        except FileNotFoundError:
            report = {"misses": [], "unused": [], "played": 0, "attempts": []}
            asked = BrokenError("it ended without its report: " + " ".join(program.words()[-3:]))
        self._attempts += report["attempts"]
        return judged(case, self._held, asked, report)

    def attempts(self) -> list[str]:
        """See Desk."""
        return self._attempts

    def close(self) -> None:
        """See Desk."""


class WireDesk:
    """What no tape can hold: an emulator that goes wrong, and a plain server before it.

    A server that has had an answer knows something, so the next case gets a new one.
    """

    def __init__(self, held: Held, stage: Stage, number: int, data: tuple[str, ...]) -> None:
        self._held, self._stage, self._number = held, stage, number
        self._emulator, self._about = stage.emulator(*data, name=f"emulator-{number}")
        self._server: Running | None = None

    def take(self, case: Case) -> Result:
        """See Desk."""
        server = self._server or self._stage.server(self._number, self._emulator, self._about)
        self._server = None
        before = self._requests()
        try:
            client = ways.over_http(self._held.way, server.port)
            asked = answered(client, case, self._held.facts, ready=lambda: self._go_wrong(case))
        finally:
            self._emulator.ask("DELETE", "/_emulator/faults")
        if isinstance(asked, Asked) and asked.answer.failed and not case.before:
            self._server = server
        else:
            self._stage.end(server)
        verdict = _verdict(case, self._held, asked)
        return Result(verdict, len(_since(before, self._requests())))

    def attempts(self) -> list[str]:
        """See Desk: server and emulator are behind guards of the stage's, which knows."""
        return []

    def close(self) -> None:
        """See Desk."""

    def _go_wrong(self, case: Case) -> None:
        if case.fault is not None:
            self._emulator.ask("POST", "/_emulator/faults", case.fault.rule())

    def _requests(self) -> list[Any]:
        """The last ones that it got."""
        found: list[Any] = self._emulator.ask("GET", "/_emulator/requests")["requests"]
        return found


def answered(client: Client, case: Case, facts: Facts, ready: Callable[[], None] = lambda: None) -> Asked | BrokenError:
    """What the case's own call came to, or why it came to nothing; as `call`."""
    try:
        return call(client, case, facts, ready)
    except BrokenError as error:
        return error


def call(client: Client, case: Case, facts: Facts, ready: Callable[[], None] = lambda: None) -> Asked:
    """Set the scene, then make the case's own call.

    Args:
        ready: called when the scene is set

    Raises:
        BrokenError: there is no answer.
    """
    person = Person(case.replies, case.samples)
    with _told(person):
        for each in case.before:
            result = client.call(each.tool, settled(each.arguments, facts), Person(), CALL_S)
            if result.get("isError"):
                said = (result.get("structuredContent") or {}).get("cause") or result.get("content")
                raise BrokenError(f"the scene could not be set: {each.tool}: {said}")
        ready()
        arguments = settled(case.arguments, facts)
        if case.cancel_after_s is not None:
            _give_up(client, case, arguments, case.cancel_after_s)
        began = clock.monotonic()
        result = client.call(case.tool, arguments, person, CALL_S)
        seconds = clock.monotonic() - began
    return Asked(result, Answer.of(result, person.asked), seconds)


def judged(case: Case, held: Held, asked: Asked | BrokenError, report: Mapping[str, Any]) -> Result:
    """The result of a case that was played, with the layer that differs first where it is red.

    Args:
        asked: what its call came to, or why it came to nothing
        report: the host's
    """
    misses, unused = report["misses"], report["unused"]
    broken = None
    if misses:
        broken = f"it asked for what is not on its tape: {misses[0]}"
    elif unused:
        broken = f"on its tape and not asked for: {unused[0]}"
    whole = written.read(held.tapes, place(case))
    verdict = _verdict(case, held, asked, broken, whole)
    layer: Layer | None = None
    if not verdict.good:
        layer = layers.first(whole, misses, unused, *_said(asked), copilot=held.way == "copilot")
    return Result(verdict, report["played"], layer)


def _verdict(
    case: Case, held: Held, asked: Asked | BrokenError, broken: str | None = None, whole: Tape | None = None
) -> Verdict:
    if isinstance(asked, BrokenError):
        return Verdict(case, held.way, None, (), 0.0, str(asked))
    found = judge(case, held.way, asked.answer, held.facts, asked.seconds, whole=whole)
    return found if broken is None else replace(found, broken=broken)


def _said(asked: Asked | BrokenError) -> tuple[Answer | None, tuple[AskedBack, ...]]:
    """The answer, where there is one, and what was asked back before."""
    return (asked.answer, asked.answer.asked) if isinstance(asked, Asked) else (None, asked.asked)


def _since(before: list[Any], now: list[Any]) -> list[Any]:
    """What came since, as far back as it is remembered."""
    return now[now.index(before[-1]) + 1 :] if before and before[-1] in now else now


def _give_up(client: Client, case: Case, arguments: Mapping[str, Any], after_s: float) -> None:
    try:
        client.call(case.tool, arguments, Person(), after_s)
    except WireError as error:
        if error.fault is Fault.SILENT:
            return
        raise
    raise BrokenError(f"it was over before the client gave up, after {after_s:g} s")


@contextlib.contextmanager
def _told(person: Person) -> Iterator[None]:
    try:
        yield
    except (RpcError, WireError) as error:
        why = f"the server does not answer as MCP has it: {error}"
        raise BrokenError(why, tuple(person.asked)) from None
    except HarnessError as error:
        why = " | ".join((f"{error.code}: {error.cause}", *error.log[-3:]))
        raise BrokenError(why, tuple(person.asked)) from None

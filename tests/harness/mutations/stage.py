"""Where cases run: the server in this process, with its requests to Mixpanel played from the cases' tapes."""

import asyncio
import logging
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastmcp import Client

from harness.cassettes import launch, written
from harness.cassettes.host import Host, hosted
from harness.suite import facts as known
from harness.suite.answer import Answer
from harness.suite.case import Case
from harness.suite.client import Person
from harness.suite.facts import settled
from harness.suite.judge import Verdict, judge
from harness.suite.taped import place
from mp_mcp_server import server
from mp_mcp_server.catalogue import TOOLS, ToolSpec
from tests.harness.in_memory import handlers
from tests.support.repository import ROOT

TAPES = ROOT / launch.TAPES
WAY = "memory"
CALL_S = 120.0


@dataclass
class Stage:
    """A host of tapes, and an empty directory for the stores of cases."""

    host: Host
    stores: Path
    facts: dict[str, Any]
    _cases: int = 0

    def run(self, case: Case, mutated: ToolSpec | None = None) -> Verdict:
        """Play a case to a fresh server with a fresh store; what comes of it."""
        began = time.monotonic()
        self.host.begin(place(case))
        result: Mapping[str, Any] | None = None
        person = Person(case.replies, case.samples)
        broken: str | None = None
        try:
            result = asyncio.run(self._called(case, mutated, person))
        except Exception as error:  # noqa: BLE001 - whatever a tool that has gone wrong brings about is its end
            broken = f"{type(error).__name__}: {error}"
        finally:
            report = self.host.end()
        seconds = time.monotonic() - began
        for kind in ("misses", "unused"):
            if report[kind] and broken is None:
                broken = f"{kind}: {report[kind][0]}"
        if result is None or broken is not None:
            return Verdict(case, WAY, None, (), seconds, broken)
        answer = Answer.of(result, person.asked)
        return judge(case, WAY, answer, self.facts, seconds, whole=written.read(TAPES, place(case)))

    async def _called(self, case: Case, mutated: ToolSpec | None, person: Person) -> Mapping[str, Any]:
        self._cases += 1
        settings = server.Settings(db=self.stores / f"{self._cases}.db")
        async with Client(server.build(settings, _specs(case, mutated)), **handlers(person)) as client:
            for call in case.before:
                arguments = settled(call.arguments, self.facts)
                done = await client.call_tool(call.tool, arguments, raise_on_error=False)
                if done.is_error:
                    raise AssertionError(f"the scene could not be set: {done.structured_content}")
            arguments = settled(case.arguments, self.facts)
            result = await asyncio.wait_for(client.call_tool_mcp(case.tool, arguments), CALL_S)
        dumped: dict[str, Any] = result.model_dump(mode="json", by_alias=True)
        return dumped


def _specs(case: Case, mutated: ToolSpec | None) -> Sequence[ToolSpec]:
    """As small a server as the case needs: to build all of it takes longer than most cases."""
    names = {case.tool, *(call.tool for call in case.before)}
    own = {mutated.name: mutated} if mutated else {}
    return [own.get(spec.name, spec) for spec in TOOLS if spec.name in names]


@contextmanager
def stage() -> Iterator[Stage]:
    """A stage that is torn down afterwards."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as stores, _quiet():
        for name, value in launch.play_environment().items():
            if value is None:
                patch.delenv(name, raising=False)
            else:
                patch.setenv(name, value)
        with hosted(TAPES) as host:
            yield Stage(host, Path(stores), dict(known.load()))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without a line for each of thousands of errors that are meant, and a warning for each answer of another shape."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="pydantic")
        try:
            yield
        finally:
            logging.disable(before)

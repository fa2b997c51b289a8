"""Cases in one process: the server in memory, its Mixpanel on tape; what `-p harness.suite.plugin` records for."""

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastmcp import Client
from fastmcp.client.elicitation import ElicitResult

from harness.cassettes import launch
from harness.cassettes.host import Host, build, hosted
from harness.suite import facts
from harness.suite.answer import Answer
from harness.suite.case import Case, Kind
from harness.suite.cases import CASES
from harness.suite.facts import settled
from harness.suite.judge import judge
from harness.suite.taped import place
from mp_mcp_server.settings import Settings
from tests.support.repository import ROOT

TAPES = ROOT / "fixtures" / "cassettes"
ON_TAPE = tuple(case for case in CASES if case.via == "tape")
ASKING = {case.id for case in ON_TAPE if case.replies is not None or case.samples is not None}
CHOICE = random.Random(7)  # noqa: S311 -- which cases, not a secret
OF_EACH_KIND = {
    kind: CHOICE.choice([case.id for case in ON_TAPE if case.kind is kind]) for kind in Kind if kind is not Kind.TIMEOUT
}
SLICE = {case.id for case in CHOICE.sample(ON_TAPE, 24)} | set(OF_EACH_KIND.values()) | ASKING


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """A host within this process, with nobody's account."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in launch.play_environment().items():
            if value is None:
                patch.delenv(name, raising=False)
            else:
                patch.setenv(name, value)
        with hosted(TAPES) as running:
            yield running


async def asked(case: Case, host: Host, store: Path) -> tuple[Answer, dict[str, Any]]:
    """What the case's own call answers, and the host's report."""
    known = facts.load()
    async with connected(case, store) as (client, questions):
        host.begin(place(case))
        try:
            for each in case.before:
                scene = await client.call_tool_mcp(each.tool, settled(each.arguments, known))
                assert not scene.is_error, scene
            result = await client.call_tool_mcp(case.tool, settled(case.arguments, known))
        finally:
            report = host.end()
    return Answer.of(result.model_dump(mode="json", by_alias=True), tuple(questions)), report


@asynccontextmanager
async def connected(case: Case, store: Path) -> AsyncIterator[tuple[Client[Any], list[str]]]:
    """A client in memory that answers as the case says; and what it was asked."""
    questions: list[str] = []
    replies, samples = list(case.replies or ()), list(case.samples or ())

    async def elicit(message: str, *_: Any) -> ElicitResult[Any]:
        questions.append(message)
        reply = replies.pop(0)
        return ElicitResult(action=reply.action, content=dict(reply.content) if reply.content is not None else None)

    async def sample(*_: Any) -> str:
        return samples.pop(0) if len(samples) > 1 else samples[0]

    handlers: dict[str, Any] = {"elicitation_handler": elicit} if case.replies is not None else {}
    if case.samples is not None:
        handlers["sampling_handler"] = sample
    async with Client(build(Settings(db=store)), **handlers) as client:
        yield client, questions


@pytest.mark.anyio
@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.id, marks=() if case.id in SLICE else pytest.mark.soak) for case in ON_TAPE],
)
async def test_the_case_holds_in_memory(case: Case, host: Host, tmp_path: Path) -> None:
    answer, report = await asked(case, host, tmp_path / "store.db")
    misses = judge(case, "memory", answer, facts.load(), 0.0).misses
    assert [str(miss) for miss in misses] == []
    assert (report["misses"], report["unused"]) == ([], [])

"""Cases in one process: the server in memory, its Mixpanel on tape, as `-p harness.suite.plugin` has it."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastmcp import Client, FastMCP
from fastmcp.client.elicitation import ElicitResult

from harness.cassettes import launch, written
from harness.suite import facts
from harness.suite.answer import Answer
from harness.suite.case import Case, Kind
from harness.suite.cases import CASES
from harness.suite.facts import settled
from harness.suite.judge import judge
from harness.suite.taped import place
from tests.support.repository import ROOT

TAPES = ROOT / launch.TAPES
ON_TAPE = tuple(case for case in CASES if case.via == "tape")
ASKING = {case.id for case in ON_TAPE if case.replies is not None or case.samples is not None}
CHOICE = random.Random(7)  # noqa: S311 -- which cases, not a secret
OF_EACH_KIND = {
    kind: CHOICE.choice([case.id for case in ON_TAPE if case.kind is kind]) for kind in Kind if kind is not Kind.TIMEOUT
}
SLICE = {case.id for case in CHOICE.sample(ON_TAPE, 24)} | set(OF_EACH_KIND.values()) | ASKING


@asynccontextmanager
async def connected(case: Case, server: FastMCP) -> AsyncIterator[tuple[Client[Any], list[str]]]:
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
    async with Client(server, **handlers) as client:
        yield client, questions


@pytest.mark.anyio
@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.id, marks=() if case.id in SLICE else pytest.mark.soak) for case in ON_TAPE],
)
async def test_the_case_holds_in_memory(case: Case, taped_server: FastMCP) -> None:
    known = facts.load()
    async with connected(case, taped_server) as (client, questions):
        for each in case.before:
            scene = await client.call_tool_mcp(each.tool, settled(each.arguments, known))
            assert not scene.is_error, scene
        result = await client.call_tool_mcp(case.tool, settled(case.arguments, known))
    answer = Answer.of(result.model_dump(mode="json", by_alias=True), tuple(questions))
    whole = written.read(TAPES, place(case))
    assert [str(miss) for miss in judge(case, "memory", answer, known, 0.0, whole=whole).misses] == []

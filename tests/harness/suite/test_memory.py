"""Cases in one process: the server in memory, its Mixpanel on tape, as `-p harness.suite.plugin` has it."""

import random

import pytest
from fastmcp import Client, FastMCP

from harness.cassettes import launch, written
from harness.suite import facts
from harness.suite.answer import Answer
from harness.suite.case import Case, Kind
from harness.suite.cases import CASES
from harness.suite.client import Person
from harness.suite.facts import settled
from harness.suite.judge import judge
from harness.suite.taped import place
from tests.harness.in_memory import handlers
from tests.support.repository import ROOT

TAPES = ROOT / launch.TAPES
ON_TAPE = tuple(case for case in CASES if case.via == "tape")
ASKING = {case.id for case in ON_TAPE if case.replies is not None or case.samples is not None}
CHOICE = random.Random(7)  # noqa: S311 -- which cases, not a secret
OF_EACH_KIND = {
    kind: CHOICE.choice([case.id for case in ON_TAPE if case.kind is kind]) for kind in Kind if kind is not Kind.TIMEOUT
}
SLICE = {case.id for case in CHOICE.sample(ON_TAPE, 24)} | set(OF_EACH_KIND.values()) | ASKING


@pytest.mark.anyio
@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.id, marks=() if case.id in SLICE else pytest.mark.soak) for case in ON_TAPE],
)
async def test_the_case_holds_in_memory(case: Case, taped_server: FastMCP) -> None:
    known, person = facts.load(), Person(case.replies, case.samples)
    async with Client(taped_server, **handlers(person)) as client:
        for each in case.before:
            scene = await client.call_tool_mcp(each.tool, settled(each.arguments, known))
            assert not scene.is_error, scene
        result = await client.call_tool_mcp(case.tool, settled(case.arguments, known))
    answer = Answer.of(result.model_dump(mode="json", by_alias=True), person.asked)
    whole = written.read(TAPES, place(case))
    assert [str(miss) for miss in judge(case, "memory", answer, known, 0.0, whole=whole).misses] == []

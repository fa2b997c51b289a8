"""The suite's cases notice when a tool goes wrong; a slice of all mutants here, each of them in a soak."""

import random

import pytest

from mp_mcp_server.catalogue import TOOLS
from tests.harness.mutations.check import Check, Outcome, Result, faults, line, total
from tests.harness.mutations.operators import OPERATORS, Mutant, mutants
from tests.harness.mutations.stage import stage
from tests.harness.mutations.survivors import SURVIVORS

EVERY = mutants()
NAMES = [mutant.name for mutant in EVERY]


def slice_of(seed: int, tools: int) -> list[Mutant]:
    """One mutant of each side, for some tools."""
    chance = random.Random(seed)  # noqa: S311 -- which mutants, and no secret
    chosen = chance.sample([spec.name for spec in TOOLS], tools)
    own = [[mutant for mutant in EVERY if mutant.spec.name == tool] for tool in chosen]
    sides = [[mutant for mutant in each if mutant.operator.side == side] for each in own for side in SIDES]
    return [chance.choice(each) for each in sides if each]


SIDES = ("argument", "answer", "error")


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "chosen",
    [pytest.param(slice_of(8, 5), id="a-slice"), pytest.param(EVERY, id="all-of-them", marks=pytest.mark.soak)],
)
def test_each_mutant_is_killed_or_has_a_reason(chosen: list[Mutant]) -> None:
    with stage() as on:
        check = Check(on)
        results = [check.run(mutant) for mutant in chosen]
    table = "\n".join([*map(line, results), total(results)])
    assert faults(results, NAMES) == [], table
    assert any(result.outcome is Outcome.KILLED for result in results), table


def test_every_operator_has_a_place_and_every_tool_a_mutant() -> None:
    assert {mutant.operator.name for mutant in EVERY} == {operator.name for operator in OPERATORS}
    assert {mutant.spec.name for mutant in EVERY} == {spec.name for spec in TOOLS}
    assert len(NAMES) == len(set(NAMES))


def test_reasons_are_sentences_about_mutants_that_there_are() -> None:
    assert SURVIVORS.keys() <= set(NAMES)
    assert all(len(reason.split()) >= 4 for reason in SURVIVORS.values())


def test_a_survivor_without_a_reason_and_a_reason_without_a_survivor_are_red() -> None:
    killed, survived, unmet = (Result(mutant, outcome) for mutant, outcome in zip(EVERY, Outcome, strict=False))
    results = [killed, survived, unmet]
    assert faults(results, NAMES, {survived.mutant.name: "it makes no difference here"}) == []
    assert faults(results, NAMES, {}) == [f"{survived.mutant.name} survives, and no reason is given"]
    reasons = {each.mutant.name: "it makes no difference" for each in results} | {"sql: melts": "there is none such"}
    assert faults(results, NAMES, reasons) == [
        f"{each}: a reason, and it does not survive" for each in sorted(one.mutant.name for one in (killed, unmet))
    ] + ["sql: melts: a reason, and there is no such mutant"]


def test_a_case_that_is_red_anyway_kills_nothing_and_is_told() -> None:
    mutant = next(each for each in EVERY if each.name == "list_events: loses the last")
    with stage() as on:
        assert Check(on).run(mutant).outcome is Outcome.KILLED
        on.facts["events"] = on.facts["events"][:-1]
        check = Check(on)
        assert check.run(mutant).outcome is not Outcome.KILLED
        assert list(check.red) == ["list_events--all"]

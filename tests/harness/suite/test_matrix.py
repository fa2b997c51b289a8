"""CASES cover what they claim to, and the matrix is red for each way in which it could be incomplete."""

from collections import Counter
from dataclasses import replace

import pytest

from harness.suite.case import REQUIRED, Case, Exemption, Kind
from harness.suite.cases import CASES, EXEMPTIONS
from harness.suite.expect import Fails
from harness.suite.matrix import faults, matrix
from harness.suite.reasons import ASKS_NOTHING, NO_LIMIT
from mp_mcp_server.catalogue import TOOLS


def test_every_tool_has_a_case_or_a_true_exemption_of_every_kind() -> None:
    assert faults(CASES, EXEMPTIONS) == []
    assert set(matrix(CASES)) == {spec.name for spec in TOOLS}
    assert all(matrix(CASES)[spec.name][Kind.GOOD] for spec in TOOLS)


def test_most_of_the_matrix_is_cases_and_not_exemptions() -> None:
    covered = sum(bool(row[kind]) for row in matrix(CASES).values() for kind in REQUIRED)
    assert covered == len(TOOLS) * len(REQUIRED) - len(EXEMPTIONS)
    assert covered > 2 * len(EXEMPTIONS)


def one_case(**changes: object) -> Case:
    return replace(CASES[0], **changes)  # type: ignore[arg-type]


def test_a_missing_case_an_unknown_tool_and_a_double_name_are_red() -> None:
    without = [case for case in CASES if case.id != "funnel--unauthorized"]
    assert faults(without, EXEMPTIONS) == ["funnel, 401: neither a case nor an exemption"]
    stranger = one_case(tool="no_such_tool", name="alone")
    assert "no_such_tool: there is no such tool" in faults([*CASES, stranger], EXEMPTIONS)
    assert faults([*CASES, CASES[0]], EXEMPTIONS) == [f"{CASES[0].id}: two cases"]


@pytest.mark.parametrize(
    ("exemption", "words"),
    [
        (Exemption("funnel", Kind.UNAUTHORIZED, ASKS_NOTHING), "it is not true that it asks Mixpanel nothing"),
        (Exemption("funnel", Kind.UNAUTHORIZED, "too hard"), "is no reason"),
        (Exemption("funnel", Kind.UNAUTHORIZED, ""), "is no reason"),
        (Exemption("funnel", Kind.GOOD, NO_LIMIT), "an exemption that is no longer needed"),
        (Exemption("no_such_tool", Kind.GOOD, NO_LIMIT), "of a tool that is not there"),
        (EXEMPTIONS[0], "exempt twice"),
    ],
)
def test_an_exemption_must_be_true_and_needed(exemption: Exemption, words: str) -> None:
    found = faults(CASES, [*EXEMPTIONS, exemption])
    assert any(words in sentence for sentence in found), found


def test_a_case_says_what_it_expects_and_has_a_name_for_a_file() -> None:
    with pytest.raises(ValueError, match="expects nothing"):
        one_case(expects=())
    for name in ("Upper", "two words", "../up", "", "a--b"):
        with pytest.raises(ValueError, match="lower case words"):
            one_case(name=name)


def test_what_a_tape_cannot_hold_says_so_and_has_a_fault() -> None:
    kinds = Counter(case.kind for case in CASES if case.via == "emulator-fault")
    assert kinds[Kind.TIMEOUT] == len([spec for spec in TOOLS if spec.endpoints])
    assert all(case.fault or case.cancel_after_s for case in CASES if case.via == "emulator-fault")
    assert all(isinstance(case.expects[0], Fails) for case in CASES if case.kind is Kind.TIMEOUT)

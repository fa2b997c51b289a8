"""The plan says which cases, which requests, what is merged and how many hours, before anybody is asked."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harness.cassettes import canonical, plan
from harness.cassettes.plan import Plan, Question
from harness.cassettes.tape import Case, Exchange, Reply, Tape, ToolCall, Varies
from harness.suite import facts, taped
from mp_mcp_server.catalogue import TOOLS
from tests.harness.cassettes.made import interaction, tape

NOW = datetime(2025, 10, 1, tzinfo=UTC)


def case(number: int = 0, **said: Any) -> Case:
    return Case("live", "segmentation", f"case-{number}", {"event": f"event {number}"}, **said)


def recorded(of: Case, *numbers: int, at: str = "2025-09-01T00:00:00+00:00") -> Tape:
    exchanges = tuple(Exchange(call, {}) for call in of.calls)
    made = tape(*(interaction(number) for number in numbers), case=of.id, at=at)
    return replace(made, exchanges=exchanges, faults=of.faults)


def guess(of: Case) -> Sequence[Question]:
    return [Question(f"guess of {of.id}", "segmentation", "query")]


def made(cases: Sequence[Case], *tapes: Tape, **said: Any) -> Plan:
    usual: dict[str, Any] = {"target": "live", "now": NOW, "guess": guess}
    return plan.plan(cases, {each.case: each for each in tapes}, **{**usual, **said})


def why(found: Plan) -> list[str]:
    return [each.why for each in found.record]


def test_a_good_tape_is_kept_and_a_missing_one_recorded() -> None:
    found = made([case(0), case(1)], recorded(case(0), 1))
    assert found.keep == (case(0).id,)
    assert [(each.case.id, each.why, each.guessed) for each in found.record] == [(case(1).id, "it has no tape", True)]


def test_a_tape_of_other_calls_or_other_faults_is_recorded_anew() -> None:
    old = recorded(case(0), 1)
    assert why(made([replace(case(0), arguments={"event": "other"})], old)) == ["its calls are others than on its tape"]
    assert why(made([replace(case(0), before=(ToolCall("sql", {}),))], old)) == [
        "its calls are others than on its tape"
    ]
    assert why(made([replace(case(0), faults=({"kind": "html"},))], old, target="emulator")) == [
        "what goes wrong in it is otherwise on its tape"
    ]
    chance = Varies("/result", "order", "chance")
    assert why(made([replace(case(0), varies=(chance,))], old)) == [
        "what varies in its answer is otherwise on its tape"
    ]
    assert why(made([replace(case(0), varies=(chance,))], replace(old, varies=(chance,)))) == []
    assert why(made([replace(case(0), arguments={"event": ("event 0",)})], old))
    listed = replace(case(0), arguments={"events": ("a", "b")})
    kept = replace(recorded(case(0), 1), exchanges=(Exchange(ToolCall("segmentation", {"events": ["a", "b"]}), {}),))
    assert why(made([listed], kept)) == [], "a list is one however Python holds it"


def test_a_tape_of_a_client_with_other_things_to_say_is_recorded_anew() -> None:
    old, otherwise = recorded(case(0), 1), ["what its client has to say is otherwise on its tape"]
    accepts, declines = (Reply("accept", {"proceed": True}),), (Reply("decline"),)
    for said, tape_says in (
        ({"replies": accepts}, {}),
        ({"replies": ()}, {}),
        ({}, {"replies": ()}),
        ({"replies": accepts}, {"replies": declines}),
        ({"replies": accepts}, {"replies": (Reply("accept", {"proceed": False}),)}),
        ({"replies": accepts}, {"replies": (*accepts, *declines)}),
        ({"samples": ("a",)}, {}),
        ({"samples": ("a",)}, {"samples": ("b",)}),
    ):
        assert why(made([replace(case(0), **said)], replace(old, **tape_says))) == otherwise, (said, tape_says)
    mine: dict[str, Any] = {"replies": accepts, "samples": ("a", "b")}
    assert why(made([replace(case(0), **mine)], replace(old, **mine))) == []


def test_the_plan_stands_in_columns() -> None:
    long = Case("live", "segmentation", "x" * 90)
    lines = plan.text(made([long, case(1)])).splitlines()
    places = {line.index("about 1 request") for line in lines if "about 1 request" in line}
    assert len(places) == 1
    assert f"{long.id}  about" in "\n".join(lines)


@pytest.mark.parametrize(("days", "again"), [(29, True), (31, False)])
def test_a_tape_older_than_said_is_recorded_anew(days: int, again: bool) -> None:
    found = made([case(0)], recorded(case(0), 1), older_than=timedelta(days=days))
    assert why(found) == (["its tape is of 2025-09-01"] if again else [])


def test_only_a_tool_means_its_cases_and_all_of_them() -> None:
    other = Case("live", "funnel", "x")
    found = made([case(0), other], recorded(case(0), 1), only=["segmentation"])
    assert [(each.case.id, each.why) for each in found.record] == [(case(0).id, "it is asked for")]
    assert found.keep == ()


def test_live_mixpanel_is_not_asked_to_fail() -> None:
    found = made([case(0, faults=({"kind": "status"},))])
    assert found.record == ()
    assert list(found.impossible) == [case(0).id]


def test_requests_of_several_cases_are_sent_once_and_those_that_fail_for_each() -> None:
    cases = [case(0), case(1)]
    tapes = [recorded(case(0), 1, 2), recorded(case(1), 2, 3)]
    found = made(cases, *tapes, only=["segmentation"])
    assert (found.spends, found.merged) == ({"query": 3}, 1)
    failing = [case(0, faults=({"kind": "html"},)), case(1, faults=({"kind": "html"},))]
    found = made(failing, recorded(failing[0], 1), recorded(failing[1], 1), only=["segmentation"], target="emulator")
    assert (found.spends, found.merged) == ({"query": 2}, 0)
    mixed = [case(0), failing[1]]
    found = made(mixed, recorded(mixed[0], 1), recorded(mixed[1], 1), only=["segmentation"], target="emulator")
    assert (found.spends, found.merged) == ({"query": 2}, 0), "an answer that went well is none for a case that fails"


def test_what_a_stopped_recording_asked_costs_nothing_again() -> None:
    answered = {canonical.key(interaction(1).asked)}
    found = made([case(0)], recorded(case(0), 1, 2), only=["segmentation"], answered=answered)
    assert (found.spends, found.merged) == ({"query": 1}, 1)


@pytest.mark.parametrize(("requests", "hours"), [(0, 0), (1, 0), (60, 0), (61, 1), (120, 1), (121, 2)])
def test_hours_are_counted_at_sixty_an_hour(requests: int, hours: int) -> None:
    old = recorded(case(0), *range(requests)) if requests else recorded(case(0))

    def nothing(_of: Case) -> Sequence[Question]:
        return ()

    assert made([case(0)], old, only=["segmentation"], guess=nothing).hours == hours
    assert made([case(0)], old, only=["segmentation"], guess=nothing, target="emulator").hours == 0


def test_the_text_says_all_of_it() -> None:
    cases = [case(0), case(1), case(2, faults=({"kind": "html"},))]
    said = plan.text(made(cases, recorded(case(0), *range(130)), only=["segmentation"]))
    assert "2 cases to record from live" in said
    assert "130 requests: it is asked for" in said
    assert "about 1 request: it has no tape" in said
    assert "not from live: live Mixpanel does not fail on demand" in said
    assert "131 query; 0 more" in said
    assert "more than 2 h" in said


def test_every_tool_has_cases_and_a_guess_of_what_they_ask() -> None:
    cases = taped.tape_cases(facts.load())
    specs = {spec.name: spec for spec in TOOLS}
    assert {each.tool for each in cases} == set(specs)
    assert len({each.id for each in cases}) == len(cases)
    for each in cases:
        asks = any(specs[call.tool].endpoints for call in each.calls)
        assert bool(plan.guess(each)) == asks


@pytest.mark.parametrize("name", ["", "Upper", "a b", "../x", "a/b", "ä", "-x", "a\n"])
def test_a_case_whose_tape_would_be_another_file_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be part"):
        Case("live", "segmentation", name)

"""Each check is broken in a real stack: the doctor names it first and alone, and mends what it claims to mend."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.doctor import report
from harness.doctor.catalogue import CHECKS, by_id
from harness.doctor.check import Finding, State
from harness.doctor.runner import looked
from harness.doctor.sight import Sight
from tests.harness.doctor import bending
from tests.harness.doctor.bench import Bench, bench
from tests.harness.doctor.faults import FAULTS, REASONS, Fault
from tests.harness.doctor.matrix import possible, rows, table


def one_a_check() -> list[Fault]:
    """The first fault of every check, in their order."""
    return list({fault.check: fault for fault in reversed(FAULTS)}.values())[::-1]


def streaming_through_a_collector(on: Bench) -> Finding:
    """What is found where something in front of nginx keeps every answer until it is whole.

    No row of the matrix: nothing of the stack itself is broken then.
    """
    with bending.proxy(on.ports["nginx"]) as port:
        sight = Sight.of(on.settings(), on.catalogue)
        assert sight.stack is not None
        members = {**sight.stack.members, "nginx": on.member("nginx").model_copy(update={"port": port})}
        seen = replace(sight, stack=sight.stack.model_copy(update={"members": members}))
        for name in ("mixpanel.reachable", "nginx.streaming"):
            check = by_id(name)
            assert check is not None
            seen.found[name] = looked(check, seen)
    return seen.found["nginx.streaming"]


def test_every_check_is_broken_by_a_fault_or_a_reason_stands_in_its_place() -> None:
    ids, broken = {check.id for check in CHECKS}, {fault.check for fault in FAULTS}
    assert broken | set(REASONS) == ids
    assert broken & set(REASONS) == set(), "a reason that is no longer needed"


@pytest.mark.e2e
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(one_a_check(), id="one-a-check"),
        pytest.param(
            [fault for fault in FAULTS if fault not in one_a_check()], id="the-others", marks=pytest.mark.soak
        ),
    ],
)
def test_the_doctor_names_each_fault_first_and_alone_and_mends_what_it_claims(
    tmp_path: Path, faults: list[Fault]
) -> None:
    with bench(tmp_path / "bench", tmp_path / "cache") as on:
        before = on.examine()
        assert not before.roots, report.text(before)
        assert before.count(State.WARN) == 0
        assert before.examined["nginx.streaming"].finding.state is State.PASS
        held = streaming_through_a_collector(on)
        found = list(rows(on, possible(faults)))
    assert held.code == "HELD_BACK", held
    sys.stdout.write(table(found) + "\n")
    assert not [row for row in found if not row.good], "\n\n".join(
        [table(found), *(f"{row.fault.check}, {row.fault.name}:\n{row.told}" for row in found if not row.good)]
    )

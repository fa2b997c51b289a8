"""Checks run side by side along their needs, and none of them, hung or crashed, keeps the doctor from its end."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.doctor import runner
from harness.doctor.check import Check, Finding, Severity, State, bad, doubtful, good, unused
from harness.doctor.ranking import roots, settled
from harness.doctor.runner import Examined
from harness.doctor.sight import Sight
from harness.errors import Exit, HarnessError
from harness.settings import load
from harness.stack.services import SERVICES
from harness.wire import Fault, WireError

Look = Callable[[Sight], Finding]


def check(
    id_: str,
    look: Look = lambda _: good("it holds"),
    *needs: str,
    deadline_s: float = 60.0,
    severity: Severity = Severity.FAILURE,
) -> Check:
    return Check(id_, "t", "p", severity, needs, deadline_s, "l", "s", "c", "what to do", look)


@pytest.fixture
def sight(tmp_path: Path) -> Sight:
    return Sight.of(load(environment={"HARNESS_STATE_DIR": str(tmp_path)}, directory=tmp_path), SERVICES)


def raising(error: Exception) -> Look:
    def look(_: Sight) -> Finding:
        raise error

    return look


def ids(found: tuple[Examined, ...]) -> list[str]:
    return [each.check.id for each in found]


def test_what_needs_nothing_of_each_other_runs_at_the_same_time(sight: Sight) -> None:
    together = threading.Barrier(3, timeout=30)

    def look(_: Sight) -> Finding:
        together.wait()
        return good("all three are here")

    found = runner.run([check(name, look) for name in ("a", "b", "c")], sight)
    assert [each.finding.state for each in found.values()] == [State.PASS] * 3


def test_a_check_sees_what_the_checks_that_it_needs_have_found(sight: Sight) -> None:
    checks = [
        check("later", lambda seen: good(seen.facts("first")["word"]), "first"),
        check("first", lambda _: good("", word="hi")),
    ]
    assert runner.run(checks, sight)["later"].finding.what == "hi"


def test_a_check_that_hangs_is_unknown_and_the_others_are_done_all_the_same(sight: Sight) -> None:
    for_ever = threading.Event()

    def hang(_: Sight) -> Finding:
        for_ever.wait()
        return good("too late")

    checks = [check("hangs", hang, deadline_s=0.2), check("after", good_look, "hangs"), check("beside")]
    # That it comes back at all is the claim: nobody lets go of the check before.
    found = runner.run(checks, sight)
    for_ever.set()
    assert (found["hangs"].finding.state, found["hangs"].finding.code) == (State.UNKNOWN, "HUNG")
    assert found["hangs"].ms >= 200
    assert (found["after"].finding.state, found["after"].because) == (State.SKIP, "hangs")
    assert found["beside"].finding.state is State.PASS


def good_look(_: Sight) -> Finding:
    return good("it holds")


def test_a_check_that_crashes_is_unknown_and_says_how(sight: Sight) -> None:
    found = runner.run([check("crashes", raising(ZeroDivisionError("by nothing")))], sight)["crashes"].finding
    assert (found.state, found.code) == (State.UNKNOWN, "CRASHED")
    assert "ZeroDivisionError: by nothing" in found.what


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (HarnessError("NO_SUCH", "cause", fix="fix"), "NO_SUCH"),
        (WireError(Fault.REFUSED, "nobody"), "REFUSED"),
    ],
)
def test_an_error_that_a_look_may_meet_is_a_finding_as_bad_as_its_check(
    sight: Sight, error: Exception, code: str
) -> None:
    found = runner.run(
        [check("fails", raising(error)), check("warns", raising(error), severity=Severity.WARNING)], sight
    )
    assert [(each.finding.state, each.finding.code) for each in found.values()] == [
        (State.FAIL, code),
        (State.WARN, code),
    ]


def test_what_cannot_be_looked_at_names_the_root_and_not_the_step_between(sight: Sight) -> None:
    checks = [
        check("root", lambda _: bad("B", "broken", "fix")),
        check("middle", good_look, "root"),
        check("end", good_look, "middle"),
    ]
    found = runner.run(checks, sight)
    assert (found["middle"].because, found["end"].because) == ("root", "root")
    (only,) = roots(settled(found))
    assert (only.examined.check.id, ids(only.consequences)) == ("root", ["middle", "end"])


def test_a_warning_or_a_check_that_is_not_used_keeps_nobody_from_looking(sight: Sight) -> None:
    checks = [
        check("warns", lambda _: doubtful("W", "well", "fix")),
        check("unused", lambda _: unused("not here")),
        check("after", good_look, "warns", "unused"),
    ]
    assert runner.run(checks, sight)["after"].finding.state is State.PASS


def test_the_worst_is_first_and_a_sign_stands_below_what_it_is_a_sign_of(sight: Sight) -> None:
    checks = [
        check("warns", lambda _: doubtful("W", "a warning", "fix")),
        check("sign", lambda _: doubtful("S", "a line in a log", "fix", blames=("fails",))),
        check("hangs", raising(ValueError())),
        check("fails", lambda _: bad("F", "broken", "fix")),
    ]
    found = roots(settled(runner.run(checks, sight)))
    assert [each.examined.check.id for each in found] == ["fails", "hangs", "warns"]
    assert ids(found[0].consequences) == ["sign"]


def test_a_sign_of_what_holds_again_is_over(sight: Sight) -> None:
    checks = [check("holds"), check("sign", lambda _: doubtful("S", "a line", "fix", blames=("holds",)))]
    found = settled(runner.run(checks, sight))
    assert found["sign"].finding.state is State.PASS
    assert "a line" in found["sign"].finding.what


def test_a_sign_of_what_nobody_looked_at_stays(sight: Sight) -> None:
    checks = [
        check("unused", lambda _: unused("")),
        check("sign", lambda _: doubtful("S", "a line", "", blames=("unused",))),
    ]
    assert ids(tuple(root.examined for root in roots(settled(runner.run(checks, sight))))) == ["sign"]


def test_two_that_blame_each_other_are_not_both_lost(sight: Sight) -> None:
    checks = [
        check("a", lambda _: bad("A", "a", "", blames=("b",))),
        check("b", lambda _: bad("B", "b", "", blames=("a",))),
    ]
    (only,) = roots(settled(runner.run(checks, sight)))
    assert {only.examined.check.id, *ids(only.consequences)} == {"a", "b"}


def test_a_choice_brings_what_it_needs_and_a_wrong_id_the_nearest() -> None:
    checks = [check("ports.free"), check("mcp.process", good_look, "ports.free"), check("other")]
    assert [each.id for each in runner.chosen(checks, ["mcp.process"])] == ["ports.free", "mcp.process"]
    assert runner.chosen(checks, []) == tuple(checks)
    with pytest.raises(HarnessError) as caught:
        runner.chosen(checks, ["mcp.proces"])
    assert caught.value.exit_code is Exit.USAGE
    assert "mcp.process" in caught.value.fix

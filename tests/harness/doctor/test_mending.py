"""`--fix` does what is safe, calls mended only what is proved, and takes back what did not help."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.doctor.check import Check, Finding, Manual, Run, Severity, bad, good
from harness.doctor.examination import Examination, examine
from harness.doctor.mending import ROUNDS, Mended, Outcome, mend
from harness.errors import HarnessError
from harness.settings import Settings, load
from harness.stack.services import SERVICES


@dataclass
class Thing:
    """Something that may be broken, and how it can be mended."""

    works: bool = False
    helps: bool = True
    safe: bool = True
    done: list[str] = field(default_factory=list)

    def check(self, name: str = "thing.works") -> Check:
        def look(_: object) -> Finding:
            if self.works:
                return good("it works")
            return bad("BROKEN", "it is broken", Run("mends it", self.apply, undo=self.undo, safe=self.safe))

        return Check(name, "t", "p", Severity.FAILURE, (), 30, "l", "s", "c", "so", look)

    def apply(self) -> None:
        self.done.append("apply")
        self.works = self.helps

    def undo(self) -> None:
        self.done.append("undo")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(environment={"HARNESS_STATE_DIR": str(tmp_path)}, directory=tmp_path)


def mended(
    settings: Settings, *checks: Check, consent: Callable[[str, str], bool] = lambda *_: True, dry_run: bool = False
) -> tuple[Examination, tuple[Mended, ...]]:
    def look() -> Examination:
        return examine(settings, SERVICES, checks)

    return mend(look(), look, consent=consent, dry_run=dry_run)


def test_what_holds_afterwards_is_mended(settings: Settings) -> None:
    thing = Thing()
    after, (only,) = mended(settings, thing.check())
    assert (only.outcome, only.why) == (Outcome.MENDED, "it works")
    assert thing.done == ["apply"]
    assert not after.roots


def test_what_does_not_help_is_taken_back_and_not_called_mended(settings: Settings) -> None:
    thing = Thing(helps=False)
    after, (only,) = mended(settings, thing.check())
    assert (only.outcome, only.undone) == (Outcome.NOT_MENDED, True)
    assert thing.done == ["apply", "undo"]
    assert len(after.roots) == 1


def test_what_is_not_safe_or_only_words_is_for_a_person(settings: Settings) -> None:
    thing = Thing(safe=False)
    words = Check(
        "a.b", "t", "p", Severity.FAILURE, (), 30, "l", "s", "c", "so", lambda _: bad("B", "b", Manual("do it"))
    )
    _, found = mended(settings, thing.check(), words)
    assert [(each.outcome, each.does) for each in found] == [
        (Outcome.FOR_A_PERSON, "mends it"),
        (Outcome.FOR_A_PERSON, "do it"),
    ]
    assert thing.done == []


def test_a_dry_run_and_a_no_change_nothing(settings: Settings) -> None:
    thing = Thing()
    assert [each.outcome for each in mended(settings, thing.check(), dry_run=True)[1]] == [Outcome.WOULD]
    assert [each.outcome for each in mended(settings, thing.check(), consent=lambda *_: False)[1]] == [Outcome.DECLINED]
    assert thing.done == []


def test_a_fix_that_cannot_be_done_says_why(settings: Settings) -> None:
    def refuse() -> None:
        raise HarnessError("NO", "somebody else holds it", fix="wait")

    check = Check(
        "a.b", "t", "p", Severity.FAILURE, (), 30, "l", "s", "c", "so", lambda _: bad("B", "b", Run("tries", refuse))
    )
    (only,) = mended(settings, check)[1]
    assert (only.outcome, only.why) == (Outcome.FAILED, "somebody else holds it")


def test_what_comes_to_light_is_mended_too_and_no_fix_is_done_twice(settings: Settings) -> None:
    below, above = Thing(), Thing()
    deeper = Check("b.above", "t", "p", Severity.FAILURE, ("a.below",), 30, "l", "s", "c", "so", above.check().look)
    _, found = mended(settings, below.check("a.below"), deeper)
    assert [(each.id, each.outcome) for each in found] == [("a.below", Outcome.MENDED), ("b.above", Outcome.MENDED)]
    never = [Thing(helps=False) for _ in range(ROUNDS + 3)]
    _, found = mended(settings, *(thing.check(f"x.{number}") for number, thing in enumerate(never)))
    assert all(thing.done in (["apply", "undo"], []) for thing in never)
    assert len(found) == ROUNDS

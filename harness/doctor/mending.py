"""`--fix`: do what is safe, look again, and call mended only what is proved to be."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from harness.doctor.check import Run, State
from harness.doctor.examination import Examination
from harness.errors import HarnessError

ROUNDS = 10
"""What is mended may uncover the next root; more than so many in a row is something that comes back."""


class Outcome(StrEnum):
    """What became of one fix.

    WOULD: nothing was done, and this would have been; DECLINED: it was asked and not wanted; FAILED: it could not be
    done; NOT_MENDED: it was done, the check still does not hold, and it was undone where that is possible
    """

    MENDED = "mended"
    NOT_MENDED = "not mended"
    FAILED = "failed"
    DECLINED = "declined"
    WOULD = "would"
    FOR_A_PERSON = "for a person"


@dataclass(frozen=True, slots=True)
class Mended:
    """One fix and what became of it.

    undone: whether it was taken back
    """

    id: str
    does: str
    outcome: Outcome
    why: str = ""
    undone: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "id": self.id,
            "does": self.does,
            "outcome": self.outcome.value,
            "why": self.why,
            "undone": self.undone,
        }


def mend(
    first: Examination,
    look: Callable[[], Examination],
    *,
    consent: Callable[[str, str], bool],
    dry_run: bool,
    told: Callable[[Mended], None] = lambda _: None,
) -> tuple[Examination, tuple[Mended, ...]]:
    """Do the safe fixes of all roots, one after the other, and look again after each.

    Args:
        look: examines anew
        consent: asked with a check's id and what its fix does
        told: each outcome as it comes

    Returns:
        the last examination, and every fix with its outcome; what is not safe is for a person.
    """
    outcomes: dict[str, Mended] = {}
    now = first
    for _ in range(ROUNDS):
        step = next((root for root in now.roots if root.examined.check.id not in outcomes), None)
        if step is None:
            break
        name, fix = step.examined.check.id, step.examined.finding.fix
        if not isinstance(fix, Run) or not fix.safe:
            words = fix.does if isinstance(fix, Run) else fix.words if fix else "nothing is known to help"
            outcome = Mended(name, words, Outcome.FOR_A_PERSON)
        elif dry_run:
            outcome = Mended(name, fix.does, Outcome.WOULD)
        elif not consent(name, fix.does):
            outcome = Mended(name, fix.does, Outcome.DECLINED)
        else:
            outcome, now = _done(name, fix, look)
        outcomes[name] = outcome
        told(outcome)
    return now, tuple(outcomes.values())


def _done(name: str, fix: Run, look: Callable[[], Examination]) -> tuple[Mended, Examination]:
    try:
        fix.apply()
    except (HarnessError, OSError) as error:
        why = error.cause if isinstance(error, HarnessError) else str(error)
        return Mended(name, fix.does, Outcome.FAILED, why), look()
    after = look()
    found = after.examined[name]
    if found.because is None and found.finding.state in (State.PASS, State.SKIP):
        return Mended(name, fix.does, Outcome.MENDED, found.finding.what), after
    why = f"afterwards: {found.finding.what}"
    if fix.undo is None:
        return Mended(name, fix.does, Outcome.NOT_MENDED, why), after
    try:
        fix.undo()
    except (HarnessError, OSError) as error:
        return Mended(name, fix.does, Outcome.NOT_MENDED, f"{why}; and it could not be undone: {error}"), look()
    return Mended(name, fix.does, Outcome.NOT_MENDED, why, undone=True), look()

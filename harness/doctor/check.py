"""What a check is, what it finds, and what mends it: values without any looking of their own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.doctor.sight import Sight


class State(StrEnum):
    """What became of one check.

    UNKNOWN: it crashed or did not end in time, so nobody knows
    """

    PASS = "pass"  # noqa: S105 - a state
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"
    UNKNOWN = "unknown"


class Severity(StrEnum):
    """How bad it is when a check does not hold.

    FAILURE: something that the stack promises does not work; WARNING: it works, and not as it should
    """

    FAILURE = "failure"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Run:
    """A fix that `--fix` can do.

    does: what will be done, one sentence in the present
    apply: does it; undo: puts everything back when the check still does not hold afterwards, None where there is
        nothing to put back
    safe: whether nobody can miss what it changes; only such fixes are done
    """

    does: str
    apply: Callable[[], None]
    undo: Callable[[], None] | None = None
    safe: bool = True

    def to_dict(self) -> dict[str, Any]:
        """The same for programs, without the functions."""
        return {"kind": "run", "does": self.does, "safe": self.safe}


@dataclass(frozen=True, slots=True)
class Manual:
    """A fix that takes a person: words."""

    words: str

    def to_dict(self) -> dict[str, Any]:
        """The same for programs."""
        return {"kind": "manual", "words": self.words}


Fix = Run | Manual


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look found.

    code: a stable name of what is wrong, empty where nothing is
    what: one sentence about what was seen
    facts: what checks that need this one, and programs, may want to know; never a secret
    blames: ids of checks that this is only a sign of, where they do not hold either; where they all hold it is over
    """

    state: State
    what: str
    code: str = ""
    fix: Fix | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    blames: tuple[str, ...] = ()


def good(what: str, **facts: Any) -> Finding:
    """It holds."""
    return Finding(State.PASS, what, facts=facts)


def bad(code: str, what: str, fix: Fix | str, *, blames: tuple[str, ...] = (), **facts: Any) -> Finding:
    """It does not hold; words are a manual fix."""
    return Finding(State.FAIL, what, code, Manual(fix) if isinstance(fix, str) else fix, facts, blames)


def doubtful(code: str, what: str, fix: Fix | str, *, blames: tuple[str, ...] = (), **facts: Any) -> Finding:
    """It holds, and not as it should."""
    return Finding(State.WARN, what, code, Manual(fix) if isinstance(fix, str) else fix, facts, blames)


def unused(why: str) -> Finding:
    """These settings do not use what it looks at."""
    return Finding(State.SKIP, why)


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the catalogue.

    id: stable: subject, a dot, what of it
    title: what it is about, a few words
    proves: the sentence that holds when it passes
    severity: how bad it is when it does not
    needs: checks without which it cannot be looked at: what becomes of them is told in its place
    deadline_s: after that it is `unknown`
    looks_at: where it looks
    symptom, cause, solution: for `harness explain`: what one sees, why it usually is so, what to do
    """

    id: str
    title: str
    proves: str
    severity: Severity
    needs: tuple[str, ...]
    deadline_s: float
    looks_at: str
    symptom: str
    cause: str
    solution: str
    look: Callable[["Sight"], Finding]

"""One case run through one way in: the answer held against what is expected, and against the one on its tape."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.cassettes import steady
from harness.cassettes.tape import AskedBack, Tape
from harness.suite.answer import Answer
from harness.suite.case import Case
from harness.suite.expect import Miss


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a case.

    way: the way in
    broken: why there is no answer to judge, such as a scene that could not be set
    seconds: what the call took
    """

    case: Case
    way: str
    answer: Answer | None
    misses: tuple[Miss, ...]
    seconds: float
    broken: str | None = None

    @property
    def good(self) -> bool:
        """Whether all that was expected is there, and nothing is otherwise than on the tape."""
        return self.broken is None and not self.misses


def judge(
    case: Case, way: str, answer: Answer, facts: Mapping[str, Any], seconds: float, *, whole: Tape | None = None
) -> Verdict:
    """Hold an answer against all that its case expects, and against its tape.

    Args:
        whole: the case's tape; None where none can hold it
    """
    misses = [miss for expectation in case.expects for miss in expectation.misses(answer, facts)]
    if whole is not None:
        misses += as_taped(case, answer, whole)
    return Verdict(case, way, answer, tuple(misses), seconds)


def as_taped(case: Case, answer: Answer, whole: Tape) -> Iterator[Miss]:
    """Where an answer differs first from the one on its tape; nothing where it is the same."""
    if case.varies != whole.varies:
        places = (", ".join(each.place for each in of) or "nothing" for of in (whole.varies, case.varies))
        yield Miss("what varies", f"{next(places)}, as its tape says", next(places))
        return
    if not whole.exchanges:
        yield Miss("the answer", "one on its tape to hold it against", "none")
        return
    asked_back = steady.first_otherwise_asked(*asked(whole, answer.asked))
    for found in filter(None, (asked_back, steady.first_difference(*told(whole, answer)))):
        where, was, now = found
        yield Miss(where, f"{was}, as on its tape", now)


def asked(whole: Tape, now: Sequence[AskedBack]) -> tuple[tuple[AskedBack, ...], tuple[AskedBack, ...]]:
    """What was asked back by the case's own call on its tape, and what is now, each in the form that tapes have."""
    return whole.exchanges[-1].asked_back, steady.asked_back(now)


def told(whole: Tape, answer: Answer) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the case's own call answered on its tape, and what it answers now, each in the form that tapes have."""
    was = Answer.of(whole.exchanges[-1].result).result()
    return was, steady.result(answer.result(), whole.varies)

"""One case run through one way in: the scene is set, the call made, the answer held against what is expected."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
        """Whether all that was expected is there."""
        return self.broken is None and not self.misses


def judge(case: Case, way: str, answer: Answer, facts: Mapping[str, Any], seconds: float) -> Verdict:
    """Hold an answer against all that its case expects."""
    misses = tuple(miss for expectation in case.expects for miss in expectation.misses(answer, facts))
    return Verdict(case, way, answer, misses, seconds)

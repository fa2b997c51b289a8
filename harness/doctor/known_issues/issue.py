"""What a known issue is, as a value."""

from dataclasses import dataclass
from enum import Enum

GAP = "…"
"""Stands in a symptom for anything on the same line."""


class Weight(Enum):
    """What a line means for whoever reads it.

    FAULT: something is broken and wants mending
    HARMLESS: it looks bad and is not, but for what the issue says under `unless`
    GOOD: the sign that something works
    """

    FAULT = "fault"
    HARMLESS = "harmless"
    GOOD = "good"


@dataclass(frozen=True, slots=True)
class KnownIssue:
    """One row of KNOWN_ISSUES: symptom, cause, solution.

    symptoms: texts, any of which on a line is the symptom; upper and lower case are one, and `…` stands for anything
    but_not: texts that make a line no symptom after all
    check: id of the doctor's check that looks at the same thing
    unless: when a harmless line is not harmless, in words; `unless_seen` are the lines that tell so, of any service
    matches: pieces of real logs in each of which it must be found
    passes: pieces of logs that look like it and in none of which it may be found
    """

    id: str
    title: str
    symptoms: tuple[str, ...]
    cause: str
    solution: str
    check: str
    matches: tuple[str, ...]
    passes: tuple[str, ...]
    weight: Weight = Weight.FAULT
    but_not: tuple[str, ...] = ()
    unless: str = ""
    unless_seen: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """A known issue that a log shows.

    weight: the issue's own, or FAULT for a harmless one where something tells that it is not
    service, number, line: where it was seen first; `number` counts the lines from 1
    count: on how many lines
    because: the line that makes a harmless issue a fault, None where none does
    """

    issue: KnownIssue
    weight: Weight
    service: str
    number: int
    line: str
    count: int = 1
    because: str | None = None

    def to_dict(self) -> dict[str, object]:
        """The same for programs."""
        return {
            "id": self.issue.id,
            "title": self.issue.title,
            "weight": self.weight.value,
            "cause": self.issue.cause,
            "solution": self.issue.solution,
            "unless": self.issue.unless or None,
            "because": self.because,
            "check": self.issue.check,
            "service": self.service,
            "number": self.number,
            "line": self.line,
            "count": self.count,
        }

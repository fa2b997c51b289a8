"""`harness explain`: a check or a known issue by its id, or a line of a log from anywhere."""

from dataclasses import dataclass
from typing import Any

from harness.doctor import catalogue
from harness.doctor.check import Check
from harness.doctor.known_issues import KNOWN_ISSUES, Finding, match
from harness.errors import Exit, HarnessError, nearest


@dataclass(frozen=True, slots=True)
class Explained:
    """What is known: a check, or the known issues that a line shows."""

    check: Check | None
    issues: tuple[Finding, ...]

    def to_dict(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "check": _check(self.check) if self.check else None,
            "issues": [found.to_dict() for found in self.issues],
        }

    def text(self) -> str:
        """The same for a person."""
        blocks = [_lines(_check(self.check))] if self.check else []
        for found in self.issues:
            issue = found.issue
            rows = {
                "issue": f"{issue.title} [{issue.id}], {found.weight.value}",
                "cause": issue.cause,
                "solution": issue.solution,
                "unless": issue.unless,
                "check": f"harness doctor --only {issue.check}" if catalogue.by_id(issue.check) else "",
            }
            blocks.append(_lines(rows))
        return "\n\n".join(blocks)


def explain(words: str) -> Explained:
    """What is known of a check's id, of a known issue's, or of a pasted line.

    Raises:
        HarnessError: NOT_KNOWN (exit 2)
    """
    check = catalogue.by_id(words.strip())
    if check is not None:
        return Explained(check, ())
    found = match(words.splitlines())
    found = found or [Finding(issue, issue.weight, "", 0, "", 0) for issue in KNOWN_ISSUES if issue.id == words.strip()]
    if found:
        return Explained(None, tuple(found))
    is_id = " " not in words.strip()
    ids = [each.id for each in catalogue.CHECKS] + [issue.id for issue in KNOWN_ISSUES]
    raise HarnessError(
        "NOT_KNOWN",
        f"nothing is known of {words[:200]!r}: it is the id of no check and no known issue, and none shows in it",
        fix=nearest(words.strip(), ids)
        if is_id
        else "paste the line as it stands in the log; look at the whole log: harness logs --scan FILE",
        exit_code=Exit.USAGE,
    )


def _check(check: Check) -> dict[str, str]:
    return {
        "check": f"{check.title} [{check.id}]",
        "proves": check.proves,
        "symptom": check.symptom,
        "cause": check.cause,
        "solution": check.solution,
        "looks at": check.looks_at,
        "needs": ", ".join(check.needs) or "nothing",
        "severity": check.severity.value,
        "deadline": f"{check.deadline_s:g} s",
    }


def _lines(rows: dict[str, str]) -> str:
    return "\n".join(f"{name:<10}{value}" for name, value in rows.items() if value)

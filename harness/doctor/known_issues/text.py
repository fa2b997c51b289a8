"""Known issues in words: beneath the line that shows one, and as a list."""

from collections.abc import Sequence

from harness.doctor.known_issues.issue import Finding, Weight

MARKS = {Weight.FAULT: "✗", Weight.HARMLESS: "·", Weight.GOOD: "✓"}


def mark_text(finding: Finding, *, again: bool) -> str:
    """What goes beneath a line of a log; the second time only its name."""
    mark, issue = MARKS[finding.weight], finding.issue
    if again:
        return f"    {mark} {issue.id}, as above"
    if finding.weight is Weight.GOOD:
        return f"    {mark} {issue.id}: {issue.title}"
    return f"    {mark} {issue.id}: {_weighed(finding)}\n      fix: {issue.solution}"


def findings_text(findings: Sequence[Finding]) -> str:
    """Every issue that was found, with where it was seen first."""
    if not findings:
        return "no known issue shows"
    lines = []
    for finding in findings:
        often = f", {finding.count} times" if finding.count > 1 else ""
        where = f"{finding.service}, line {finding.number}" if finding.service else f"line {finding.number}"
        lines.append(f"{MARKS[finding.weight]} {finding.issue.id}: {_weighed(finding)}  ({where}{often})")
        lines.append(f"    {finding.line.strip()}")
        if finding.weight is not Weight.GOOD:
            lines.append(f"    cause: {finding.issue.cause}")
            lines.append(f"    fix: {finding.issue.solution}")
    return "\n".join(lines)


def _weighed(finding: Finding) -> str:
    issue = finding.issue
    if finding.because is not None:
        return f"{issue.title}; not harmless here: {issue.unless}"
    if finding.weight is Weight.HARMLESS:
        return f"{issue.title}; harmless" + (f", unless {issue.unless}" if issue.unless else "")
    return issue.title

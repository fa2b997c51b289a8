"""KNOWN_ISSUES: what lines of logs mean, what is behind them, and what mends it."""

from collections.abc import Iterable

from harness.doctor.known_issues import client, front_door, machine, server
from harness.doctor.known_issues.issue import Finding, KnownIssue, Weight
from harness.doctor.known_issues.matching import Line, Pieces, Scan, found_in, scanned

__all__ = ["KNOWN_ISSUES", "Finding", "KnownIssue", "Pieces", "Scan", "Weight", "match", "scan", "scanned", "worst"]

KNOWN_ISSUES: tuple[KnownIssue, ...] = (*client.ISSUES, *server.ISSUES, *front_door.ISSUES, *machine.ISSUES)
"""Every known issue, a row each: by where it shows."""


def match(lines: Iterable[Line]) -> list[Finding]:
    """The known issues that lines show: each once, with how often, faults first.

    Args:
        lines: of any log, each a text or a pair of service and text, oldest first
    """
    return found_in(lines, KNOWN_ISSUES)


def scan() -> Scan:
    """A scan of the whole catalogue, to be fed with what comes."""
    return Scan(KNOWN_ISSUES)


def worst(lines: Iterable[Line]) -> Finding | None:
    """The fault that explains the end of a service best: the last one of its last lines; None when none is known."""
    faults = [finding for finding in match(lines) if finding.weight is Weight.FAULT]
    return max(faults, key=lambda finding: finding.number, default=None)

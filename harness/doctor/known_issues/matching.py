"""Find known issues in logs, in time that grows with the log and with nothing else.

A symptom is a handful of fixed texts that stand on one line in their order. They are looked for one after the other,
each from where the one before it ended: no pattern, so no line can be made that takes a pattern for ever.
"""

import functools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.doctor.known_issues.issue import GAP, Finding, KnownIssue, Weight

SHOWN_CHARACTERS = 400
COLOURS = re.compile(rb"\x1b\[[0-9;?]*+[A-Za-z]")
Line = str | tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Parts of one symptom, in lower case; a line that holds one of `but_not` does not show it."""

    parts: tuple[bytes, ...]
    but_not: tuple[bytes, ...]

    def stands_in(self, low: bytes, start: int, end: int) -> bool:
        """Whether all parts stand on the line between these two places."""
        at = start
        for part in self.parts:
            at = low.find(part, at, end)
            if at < 0:
                return False
            at += len(part)
        return not any(low.find(text, start, end) >= 0 for text in self.but_not)


class Scan:
    """Reads the logs of one run, piece by piece, and remembers what it found.

    Args:
        issues: the catalogue
    """

    def __init__(self, issues: Sequence[KnownIssue]) -> None:
        self._issues = issues
        self._first: dict[str, Finding] = {}
        self._count: Counter[str] = Counter()
        self._spoilt: dict[str, str] = {}
        self._lines: dict[str, int] = {}

    def feed(self, service: str, text: str | bytes) -> list[Finding]:
        """What the whole lines of a text show, in their order: each issue once a line, with that line in it."""
        raw = text.encode(errors="replace") if isinstance(text, str) else text
        raw = COLOURS.sub(b"", raw)
        low = raw.lower()
        seen = self._hits(low)
        shown: list[Finding] = []
        before = self._lines.get(service, 0)
        self._lines[service] = before + raw.count(b"\n") + (not raw.endswith(b"\n") and bool(raw))
        number, counted_to = before + 1, 0
        for (start, end), hits in sorted(seen.items(), key=lambda entry: entry[0]):
            number += low.count(b"\n", counted_to, start)
            counted_to = start
            line = raw[start : min(end, start + 4 * SHOWN_CHARACTERS)].decode(errors="replace")[:SHOWN_CHARACTERS]
            for issue, spoils in hits:
                if spoils:
                    self._spoilt.setdefault(issue.id, line)
                    continue
                found = Finding(issue, issue.weight, service, number, line)
                self._first.setdefault(issue.id, found)
                self._count[issue.id] += 1
                shown.append(found)
        return [self._weighed(found) for found in shown] if self._spoilt else shown

    def findings(self) -> list[Finding]:
        """Every issue that was found, once: faults first, then in the order in which they came."""
        found = (replace(first, count=self._count[name]) for name, first in self._first.items())
        order = list(Weight)
        return sorted(map(self._weighed, found), key=lambda finding: order.index(finding.weight))

    def _hits(self, low: bytes) -> dict[tuple[int, int], list[tuple[KnownIssue, bool]]]:
        """Line → the issues that it shows, each once, and those of which it says that they are not harmless."""
        seen: dict[tuple[int, int], list[tuple[KnownIssue, bool]]] = {}
        for issue in self._issues:
            places: tuple[set[tuple[int, int]], set[tuple[int, int]]] = (set(), set())
            for wanted, spoils in _compiled(issue):
                places[spoils].update(_lines_with(low, wanted))
            for line in places[0]:
                seen.setdefault(line, []).append((issue, False))
            for line in places[1]:
                seen.setdefault(line, []).append((issue, True))
        return seen

    def _weighed(self, finding: Finding) -> Finding:
        because = self._spoilt.get(finding.issue.id)
        if because is None or finding.weight is not Weight.HARMLESS:
            return finding
        return replace(finding, weight=Weight.FAULT, because=because)


@dataclass(slots=True)
class Pieces:
    """Cuts what comes into whole lines; a line that grows beyond a bound is handed out as it is."""

    most_bytes: int = 1 << 20
    _rest: bytes = field(default=b"")

    def add(self, piece: bytes) -> bytes:
        """The whole lines that there are now."""
        text = self._rest + piece
        end = text.rfind(b"\n") + 1 or (len(text) if len(text) > self.most_bytes else 0)
        whole, self._rest = text[:end], text[end:]
        return whole

    def end(self) -> bytes:
        """What is left, a line without an end."""
        whole, self._rest = self._rest, b""
        return whole


def scanned(logs: Mapping[str, Iterable[bytes]], issues: Sequence[KnownIssue]) -> list[Finding]:
    """What the logs of several services show together.

    Args:
        logs: service → its log, in pieces of any size
    """
    scan = Scan(issues)
    for service, log in logs.items():
        pieces = Pieces()
        for piece in log:
            scan.feed(service, pieces.add(piece))
        scan.feed(service, pieces.end())
    return scan.findings()


def found_in(lines: Iterable[Line], issues: Sequence[KnownIssue]) -> list[Finding]:
    """What lines show, each a text or a pair of service and text."""
    scan = Scan(issues)
    for line in lines:
        service, text = ("", line) if isinstance(line, str) else line
        scan.feed(service, text + "\n")
    return scan.findings()


def _lines_with(low: bytes, wanted: _Wanted) -> Iterable[tuple[int, int]]:
    """The lines that show a symptom, as start and end: a line is looked at once, where its first part stands."""
    at = 0
    while (hit := low.find(wanted.parts[0], at)) >= 0:
        start = low.rfind(b"\n", at, hit) + 1 or at
        end = low.find(b"\n", hit)
        end = len(low) if end < 0 else end
        if wanted.stands_in(low, start, end):
            yield start, end
        at = end + 1


@functools.cache
def _compiled(issue: KnownIssue) -> tuple[tuple[_Wanted, bool], ...]:
    """What to look for, and whether it spoils a harmless issue."""
    but_not = tuple(text.lower().encode() for text in issue.but_not)
    symptoms = [(_Wanted(_parts(text), but_not), False) for text in issue.symptoms]
    return (*symptoms, *((_Wanted(_parts(text), ()), True) for text in issue.unless_seen))


def _parts(symptom: str) -> tuple[bytes, ...]:
    # Bytes know upper and lower case of ASCII only, and so keep every place where it was.
    return tuple(part.strip().encode().lower() for part in symptom.split(GAP) if part.strip())

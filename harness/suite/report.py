"""What a run of the suite found: as a table, as JSON, as JUnit's XML, and for the page."""

import contextlib
import os
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.cassettes.tape import AskedBack
from harness.errors import Exit, HarnessError
from harness.suite.case import Case, Exemption, Kind
from harness.suite.judge import Verdict

SIGNS = {"good": "✓", "red": "✗", "exempt": "–", "none": " "}
LAYERS = ("http", "asked back", "mcp", "copilot")
SENTENCE = 400
"""A sentence that quotes an answer may be as long as the answer; JSON and JUnit have it whole."""
UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What a terminal or a browser obeys instead of showing it."""


@dataclass(frozen=True, slots=True)
class Layer:
    """For a red case, the first layer in which now differs from the recording.

    name: http (what was asked of Mixpanel), asked back (what the server asked of its client, and was told), mcp (what
        the server answered) or copilot (what its client made of it)
    diff: lines, `-` as recorded, `+` as now
    """

    name: str
    diff: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """One case by one way in.

    upstream: how many requests it sent to Mixpanel
    layer: None where it is good, or where nothing was recorded to compare it with
    """

    verdict: Verdict
    upstream: int
    layer: Layer | None = None

    @property
    def case(self) -> Case:
        """The case."""
        return self.verdict.case

    @property
    def good(self) -> bool:
        """Whether all that was expected came."""
        return self.verdict.good

    @property
    def asked_back(self) -> tuple[AskedBack, ...]:
        """What the tool asked back, with what it was told."""
        return self.verdict.answer.asked if self.verdict.answer else ()

    @property
    def why(self) -> tuple[str, ...]:
        """What is wrong, a sentence each."""
        return tuple(dict.fromkeys(filter(None, (self.verdict.broken, *map(str, self.verdict.misses)))))


@dataclass(frozen=True, slots=True)
class Report:
    """A run.

    at: ISO 8601, UTC
    seconds: wall time of all of it
    attempts: to reach something beyond this machine
    isolation: how it was kept from the network, in words
    unused: recordings that no case asked for
    """

    at: str
    target: str
    seconds: float
    results: tuple[Result, ...]
    exemptions: tuple[Exemption, ...]
    attempts: tuple[str, ...]
    isolation: str
    unused: tuple[str, ...] = ()

    @property
    def red(self) -> tuple[Result, ...]:
        """The cases that are not good."""
        return tuple(result for result in self.results if not result.good)

    @property
    def good(self) -> bool:
        """Whether nothing at all is wrong."""
        return not self.red and not self.attempts and not self.unused

    def to_dict(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "good": self.good,
            "at": self.at,
            "target": self.target,
            "seconds": round(self.seconds, 3),
            "isolation": self.isolation,
            "attempts_to_leave": list(self.attempts),
            "unused_recordings": list(self.unused),
            "cases": [_as_dict(result) for result in self.results],
            "exemptions": [
                {"tool": each.tool, "kind": each.kind.value, "reason": each.reason} for each in self.exemptions
            ],
        }


def cell(results: Sequence[Result], exempt: bool) -> str:
    """What a field of the matrix shows: good, red, exempt or none."""
    if any(not result.good for result in results):
        return "red"
    if results:
        return "good"
    return "exempt" if exempt else "none"


def fields(report: Report) -> dict[str, dict[Kind, list[Result]]]:
    """Tool → kind → results, tools in the order of their cases, kinds in that of the matrix."""
    found: dict[str, dict[Kind, list[Result]]] = {}
    for result in report.results:
        row = found.setdefault(result.case.tool, {kind: [] for kind in Kind})
        row[result.case.kind].append(result)
    return found


def ordered(red: Sequence[Result]) -> list[Result]:
    """The red cases, those first whose first differing layer is nearest to Mixpanel: it may be the others' cause."""
    place = {name: number for number, name in enumerate(LAYERS)}
    return sorted(red, key=lambda each: place.get(each.layer.name, len(LAYERS)) if each.layer else len(LAYERS))


def slowest(report: Report) -> Result | None:
    """The case that took longest; None of a run without any."""
    return max(report.results, key=lambda result: result.verdict.seconds, default=None)


def left(report: Report) -> Mapping[str, int]:
    """Where something tried to go beyond this machine, and how often."""
    return Counter(report.attempts)


def times(often: int) -> str:
    """How often, after what it is said of."""
    return "" if often == 1 else f", {often} times"


def clipped(words: str, most: int) -> str:
    """The words for a person: not endless, and nothing in them that is obeyed."""
    shown = UNSEEN.sub("\ufffd", words)
    return shown if len(shown) <= most else f"{shown[:most]}… ({len(shown) - most:,} more characters)"


def text(report: Report) -> str:
    """The matrix, then what is red, then one line of figures."""
    exempt = {(each.tool, each.kind) for each in report.exemptions}
    head = " " * 28 + " ".join(f"{kind.value[:6]:<6}" for kind in Kind)
    lines = [head]
    for tool, row in fields(report).items():
        shown = []
        for kind, results in row.items():
            what = cell(results, (tool, kind) in exempt)
            number = len(results) if what == "good" else sum(not result.good for result in results)
            shown.append(f"{SIGNS[what]}{number if results else '':<5}")
        lines.append(f"{tool:<28}" + " ".join(shown).rstrip())
    lines.append("")
    for result in ordered(report.red):
        lines.append(f"✗ {result.case.id} by {result.verdict.way}")
        lines += [f"    {clipped(sentence, SENTENCE)}" for sentence in result.why]
        if result.layer:
            lines.append(f"    first differs in the layer {result.layer.name}:")
            lines += [f"      {clipped(line, SENTENCE)}" for line in result.layer.diff[:12]]
    lines += [f"✗ tried to leave this machine: {where}{times(often)}" for where, often in left(report).items()]
    lines += [f"✗ recorded and not asked for: {name}" for name in report.unused]
    tail = f"{len(report.results)} cases, {len(report.red)} red, {report.seconds:.1f} s, from {report.target}"
    if slow := slowest(report):
        tail += f"; slowest {slow.case.id}, {slow.verdict.seconds:.2f} s"
    return "\n".join([*lines, tail, f"network: {report.isolation}; attempts to leave: {len(report.attempts)}"])


def junit(report: Report) -> str:
    """JUnit's XML: a suite a way in, a case a case, time in seconds."""
    root = ET.Element("testsuites", name="harness suite", time=f"{report.seconds:.3f}")
    for way in dict.fromkeys(result.verdict.way for result in report.results):
        own = [result for result in report.results if result.verdict.way == way]
        suite = ET.SubElement(
            root,
            "testsuite",
            name=way,
            tests=str(len(own)),
            failures=str(sum(not each.good for each in own)),
            time=f"{sum(each.verdict.seconds for each in own):.3f}",
        )
        for result in own:
            case = ET.SubElement(
                suite,
                "testcase",
                classname=f"{way}.{result.case.tool}",
                name=result.case.name,
                time=f"{result.verdict.seconds:.4f}",
            )
            if not result.good:
                said = "\n".join((*result.why, *(result.layer.diff if result.layer else ())))
                ET.SubElement(case, "failure", type=result.case.kind.value, message=_xml(result.why[0])).text = _xml(
                    said
                )
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def write(path: Path, content: str) -> None:
    """Write a report's file as a whole, or not at all.

    Raises:
        HarnessError: NOT_WRITTEN (exit 2)
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(content, encoding="utf-8")
        aside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):  # where nothing can be written nothing can be removed
            aside.unlink(missing_ok=True)
        raise HarnessError(
            "NOT_WRITTEN",
            f"{path} cannot be written: {error.strerror}",
            fix="name a file in a directory that you can write to",
            exit_code=Exit.USAGE,
        ) from None


def _as_dict(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": result.case.id,
        "tool": result.case.tool,
        "kind": result.case.kind.value,
        "via": result.case.via,
        "way": result.verdict.way,
        "good": result.good,
        "seconds": round(result.verdict.seconds, 4),
        "upstream_calls": result.upstream,
    }
    if result.asked_back:
        found["asked_back"] = [asdict(each) for each in result.asked_back]
    if not result.good:
        layer: Mapping[str, Any] | None = (
            {"name": result.layer.name, "diff": list(result.layer.diff)} if result.layer else None
        )
        found |= {"why": list(result.why), "layer": layer}
    return found


def _xml(words: str) -> str:
    """Without the characters that no XML may hold."""
    return "".join(each for each in words if each in "\t\n" or (ord(each) >= 32 and each.isprintable()))

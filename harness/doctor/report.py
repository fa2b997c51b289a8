"""What the doctor found, for a person and for JUnit."""

import os
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

from harness.doctor.check import Manual, Run, State
from harness.doctor.examination import Examination
from harness.doctor.mending import Mended, Outcome
from harness.doctor.runner import Examined
from harness.errors import Exit, HarnessError

MARKS = {State.PASS: "✓", State.WARN: "!", State.FAIL: "✗", State.SKIP: "–", State.UNKNOWN: "?"}
OUTCOMES = {
    Outcome.MENDED: "✓ mended",
    Outcome.NOT_MENDED: "✗ not mended",
    Outcome.FAILED: "✗ could not be done",
    Outcome.DECLINED: "– left as it is",
    Outcome.WOULD: "… would do",
    Outcome.FOR_A_PERSON: "– for you to do",
}


def text(found: Examination) -> str:
    """Roots with what is folded under them, then every check, what is skipped by its reason, one line of figures."""
    lines: list[str] = []
    for root in found.roots:
        lines += [*_root(root.examined), *_folded(root.consequences), ""]
    skipped: dict[str, list[str]] = {}
    for each in found.examined.values():
        if each.because is not None:
            # It stands below its root.
            continue
        if each.finding.state is State.SKIP:
            skipped.setdefault(each.finding.what, []).append(each.check.id)
            continue
        ms = f"{each.ms:>8.1f} ms" if each.ms else " " * 11
        lines.append(f"{MARKS[each.finding.state]} {each.check.id:<24}{ms}  {each.finding.what}")
    lines += [f"– {why}: {', '.join(names)}" for why, names in skipped.items()]
    counts = ", ".join(f"{found.count(state)} {state.value}" for state in State if found.count(state))
    lines += ["", f"{counts}; {found.ms / 1000:.1f} s"]
    fixes = [root.examined.finding.fix for root in found.roots]
    if any(isinstance(fix, Run) and fix.safe for fix in fixes):
        lines.append("what can be done without you: harness doctor --fix")
    return "\n".join(lines)


def mended_text(mended: Sequence[Mended], *, asked: bool = True) -> str:
    """What became of each fix; whether there was a terminal on which somebody could be asked."""
    lines = [mended_line(each) for each in mended] or ["there is nothing to mend"]
    if not asked and any(each.outcome is Outcome.DECLINED for each in mended):
        lines.append("without a terminal nothing changes: harness doctor --fix --yes")
    return "\n".join(lines)


def mended_line(each: Mended) -> str:
    """One fix and what became of it."""
    why = f" ({each.why})" if each.why else ""
    undone = ", and it was undone" if each.undone else ""
    return f"{OUTCOMES[each.outcome]:<22}{each.id}: {each.does}{why}{undone}"


def junit(found: Examination) -> str:
    """The same as JUnit's XML: a case a check, its time in seconds."""
    suite = ET.Element(
        "testsuite",
        name="harness doctor",
        tests=str(len(found.examined)),
        failures=str(found.count(State.FAIL)),
        errors=str(found.count(State.UNKNOWN)),
        skipped=str(found.count(State.SKIP)),
        time=f"{found.ms / 1000:.3f}",
    )
    for each in found.examined.values():
        finding = each.finding
        subject, _, name = each.check.id.partition(".")
        case = ET.SubElement(suite, "testcase", classname=f"doctor.{subject}", name=name, time=f"{each.ms / 1000:.4f}")
        told = _xml(f"{finding.what}\nfix: {_fix(each)}" if finding.fix else finding.what)
        if finding.state is State.FAIL:
            ET.SubElement(case, "failure", type=finding.code, message=_xml(finding.what)).text = told
        elif finding.state is State.UNKNOWN:
            ET.SubElement(case, "error", type=finding.code, message=_xml(finding.what)).text = told
        elif finding.state is State.SKIP:
            ET.SubElement(case, "skipped", message=_xml(finding.what))
        else:
            ET.SubElement(case, "system-out").text = told
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def write_junit(found: Examination, path: Path) -> None:
    """Write it as a whole, or not at all.

    Raises:
        HarnessError: NOT_WRITTEN (exit 2)
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_text(junit(found), encoding="utf-8")
        aside.replace(path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise HarnessError(
            "NOT_WRITTEN",
            f"{path} cannot be written: {error.strerror}",
            fix="name a file in a directory that is there",
            exit_code=Exit.USAGE,
        ) from None


def _root(each: Examined) -> list[str]:
    finding = each.finding
    lines = [f"{MARKS[finding.state]} {each.check.title}: {finding.what} [{each.check.id}]"]
    return lines + ([f"    fix: {_fix(each)}"] if finding.fix else [])


def _folded(consequences: Sequence[Examined]) -> list[str]:
    signs = [f"    so:  {each.finding.what} [{each.check.id}]" for each in consequences if each.because is None]
    kept = [each.check.id for each in consequences if each.because is not None]
    return signs + ([f"    not looked at because of it: {', '.join(kept)}"] if kept else [])


def _fix(each: Examined) -> str:
    fix = each.finding.fix
    if isinstance(fix, Manual):
        return fix.words
    if fix is None:
        return ""
    return f"{fix.does} (harness doctor --fix does it)" if fix.safe else fix.does


def _xml(words: str) -> str:
    """Without the characters that no XML may hold."""
    return "".join(
        character for character in words if character in "\t\n" or (ord(character) >= 32 and character.isprintable())
    )

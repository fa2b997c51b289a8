"""The doctor matrix: each fault in a real stack, and what the doctor made of it.

    python -m tests.harness.doctor.matrix [CHECK …]

prints the table fault × found × ranked first × fixed; exits 1 when a cell is red.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.doctor import report
from harness.doctor.check import Run, State
from harness.doctor.mending import Outcome
from tests.harness.doctor.bench import Bench, bench
from tests.harness.doctor.faults import FAULTS, REASONS, Fault


@dataclass(frozen=True)
class Row:
    """What the doctor made of one fault.

    found: the check is broken, with the code that it should have
    first: it is named first; alone: nothing else is named as a root
    fixed: yes or no where `--fix` claims to mend it; "for a person" where it claims nothing; None: it was not tried
    told: what the doctor said, for a red row
    """

    fault: Fault
    found: bool
    first: bool
    alone: bool
    fixed: str
    seconds: float
    told: str

    @property
    def good(self) -> bool:
        wanted = "yes" if self.fault.mended else "for a person"
        return self.found and self.first and self.alone and self.fixed == wanted


def rows(on: Bench, faults: Sequence[Fault]) -> Iterator[Row]:
    """Break, look, mend, put right: one fault after the other."""
    for fault in faults:
        began = time.monotonic()
        with fault.breaks(on) as changed:
            yield _row(on, fault, changed, began)


def _row(on: Bench, fault: Fault, changed: object, began: float) -> Row:
    assert isinstance(changed, dict)
    seen = on.examine(changed)
    finding = seen.examined[fault.check].finding
    roots = [root.examined.check.id for root in seen.roots]
    told = report.text(seen)
    claims = isinstance(finding.fix, Run) and finding.fix.safe
    fixed = "for a person"
    if claims:
        _, done = on.mend(seen, changed)
        outcome = next((each for each in done if each.id == fault.check), None)
        fixed = "yes" if outcome is not None and outcome.outcome is Outcome.MENDED else "no"
        told += "\n" + report.mended_text(done)
    return Row(
        fault,
        found=finding.state in (State.FAIL, State.WARN) and finding.code == fault.code,
        first=roots[:1] == [fault.check],
        alone=len(roots) == 1,
        fixed=fixed,
        seconds=time.monotonic() - began,
        told=told,
    )


def possible(faults: Sequence[Fault]) -> list[Fault]:
    """Those that this user can break."""
    return [fault for fault in faults if not fault.as_root or os.geteuid() == 0]


def table(found: Sequence[Row]) -> str:
    """One line a fault."""
    lines = [f"{'check':<22}{'fault':<36}{'found':<7}{'first':<7}{'alone':<7}{'fixed':<14}{'s':>5}"]
    for row in found:
        cells = [*("yes" if cell else "NO" for cell in (row.found, row.first, row.alone)), row.fixed]
        marks = f"{cells[0]:<7}{cells[1]:<7}{cells[2]:<7}{cells[3]:<14}"
        lines.append(f"{row.fault.check:<22}{row.fault.name:<36}{marks}{row.seconds:>5.1f}")
    lines += [f"{check:<22}{'– ' + why}" for check, why in REASONS.items()]
    good = sum(row.good for row in found)
    return "\n".join([*lines, f"{good} of {len(found)} faults: found, named first and alone, and mended where claimed"])


def main(only: Sequence[str]) -> int:
    """Print the table."""
    chosen = [fault for fault in possible(FAULTS) if not only or fault.check in only]
    found = []
    with tempfile.TemporaryDirectory() as place, bench(Path(place) / "bench", Path(place) / "cache") as on:
        for row in rows(on, chosen):
            found.append(row)
            if not row.good:
                sys.stderr.write(f"{row.fault.check}, {row.fault.name}:\n{row.told}\n\n")
    sys.stdout.write(table(found) + "\n")
    return 0 if all(row.good for row in found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""One whole examination: look at everything, and tell the root from its consequences."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness import clock
from harness.doctor import ranking, runner
from harness.doctor.check import Check, State
from harness.doctor.ranking import Root
from harness.doctor.runner import Examined
from harness.doctor.sight import Sight
from harness.errors import Exit
from harness.redact import MASK, SHORTEST, secrets_of
from harness.settings import Settings
from harness.stack.service import Service


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found.

    examined: id → check and finding, in the catalogue's order
    roots: what does not hold of itself, the worst first
    ms: how long all of it took
    """

    examined: dict[str, Examined]
    roots: tuple[Root, ...]
    ms: float

    def count(self, state: State) -> int:
        """How many checks are in a state."""
        return Counter(each.finding.state for each in self.examined.values())[state]

    def exit_code(self, *, strict: bool) -> Exit:
        """Failed when a check failed; could not check when one is unknown; with `strict` warnings count too."""
        if self.count(State.FAIL):
            return Exit.FAILED
        if self.count(State.UNKNOWN):
            return Exit.COULD_NOT_CHECK
        return Exit.WARNINGS if strict and self.count(State.WARN) else Exit.GOOD

    def to_dict(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "good": not (self.count(State.FAIL) or self.count(State.UNKNOWN)),
            "counts": {state.value: self.count(state) for state in State},
            "ms": self.ms,
            "roots": [
                {"id": root.examined.check.id, "consequences": [each.check.id for each in root.consequences]}
                for root in self.roots
            ],
            "checks": [_told(each) for each in self.examined.values()],
        }


def examine(
    settings: Settings, services: Sequence[Service], checks: Sequence[Check], only: Sequence[str] = ()
) -> Examination:
    """Look at everything, or at some checks and all that they need.

    Raises:
        HarnessError: UNKNOWN_CHECK (exit 2)
    """
    chosen = runner.chosen(checks, only)
    began = clock.monotonic()
    looked_at = runner.run(chosen, Sight.of(settings, services))
    # A shorter one stands in every text by chance.
    secrets = {secret for secret in secrets_of(settings.environment) if len(secret) >= SHORTEST}
    found = ranking.settled({name: _plain(each, secrets) for name, each in looked_at.items()})
    return Examination(found, ranking.roots(found), round((clock.monotonic() - began) * 1000, 1))


def _plain(each: Examined, secrets: Collection[str]) -> Examined:
    """The same on one line and without the caller's secrets, both of which a text from elsewhere may have."""
    what = " ".join(each.finding.what.split())
    for secret in secrets:
        what = what.replace(secret, MASK)
    return each if what == each.finding.what else replace(each, finding=replace(each.finding, what=what))


def _told(each: Examined) -> dict[str, Any]:
    finding = each.finding
    return {
        "id": each.check.id,
        "title": each.check.title,
        "state": finding.state.value,
        "code": finding.code,
        "what": finding.what,
        "ms": each.ms,
        "because": each.because,
        "fix": finding.fix.to_dict() if finding.fix else None,
        "facts": dict(finding.facts),
    }

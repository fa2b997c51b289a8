"""Run checks side by side, each as soon as what it needs is known, none longer than its deadline."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness import clock
from harness.doctor.check import Check, Finding, Manual, Severity, State
from harness.doctor.sight import Sight
from harness.errors import Exit, HarnessError, nearest
from harness.rpc import RpcError
from harness.wire import WireError

HOLDS = frozenset({State.PASS, State.WARN})
REPORT = "that is a fault of the doctor or of what it looks at: run it again, and report it with harness bundle"


@dataclass(frozen=True, slots=True)
class Examined:
    """One check and what became of it.

    ms: how long the look took, 0 when there was none
    because: the check whose breaking kept this one from being looked at
    """

    check: Check
    finding: Finding
    ms: float
    because: str | None = None


def chosen(checks: Sequence[Check], only: Sequence[str]) -> tuple[Check, ...]:
    """These checks with all that they need, in the catalogue's order; all when none is named.

    Raises:
        HarnessError: UNKNOWN_CHECK (exit 2)
    """
    by_id = {check.id: check for check in checks}
    wanted: set[str] = set()
    waiting = list(only or by_id)
    while waiting:
        name = waiting.pop()
        if name not in by_id:
            raise HarnessError(
                "UNKNOWN_CHECK", f"there is no check {name!r}", fix=nearest(name, list(by_id)), exit_code=Exit.USAGE
            )
        if name not in wanted:
            wanted.add(name)
            waiting += by_id[name].needs
    return tuple(check for check in checks if check.id in wanted)


def run(checks: Sequence[Check], sight: Sight) -> dict[str, Examined]:
    """Look at everything; comes back though a look hangs.

    Args:
        checks: each together with what it needs

    Returns:
        id → what became of it, in the catalogue's order.
    """
    round_ = _Round(checks, sight)
    return round_.run()


class _Round:
    """One run of checks. What it knows is changed under its lock, by the checks' threads and by the one that waits."""

    def __init__(self, checks: Sequence[Check], sight: Sight) -> None:
        self._checks, self._sight = {check.id: check for check in checks}, sight
        self._done: dict[str, Examined] = {}
        self._running: dict[str, tuple[float, clock.Deadline]] = {}
        self._changed = threading.Condition()

    def run(self) -> dict[str, Examined]:
        with self._changed:
            while len(self._done) < len(self._checks):
                if self._begin_what_can_be():
                    continue
                self._changed.wait(min(deadline.left_s() for _, deadline in self._running.values()))
                for name in [name for name, (_, deadline) in self._running.items() if deadline.passed()]:
                    seconds = self._checks[name].deadline_s
                    self._settle(name, _unknown("HUNG", f"it did not end within {seconds:g} s"))
            return {name: self._done[name] for name in self._checks}

    def _begin_what_can_be(self) -> bool:
        """Begin, or settle without a look, every check whose needs are known; whether there was one."""
        begun = False
        for name, check in self._checks.items():
            if name in self._done or name in self._running or not all(need in self._done for need in check.needs):
                continue
            begun = True
            kept = kept_from(check, {need: self._done[need] for need in check.needs})
            if kept is not None:
                self._done[name] = kept
                self._sight.found[name] = kept.finding
                continue
            self._running[name] = (clock.monotonic(), clock.Deadline(check.deadline_s))
            # A daemon: the one that hangs must not keep the command from ending.
            threading.Thread(target=self._look, args=(check,), name=f"check {name}", daemon=True).start()
        return begun

    def _look(self, check: Check) -> None:
        finding = looked(check, self._sight)
        with self._changed:
            if check.id in self._running:
                self._settle(check.id, finding)
                self._changed.notify()

    def _settle(self, name: str, finding: Finding) -> None:
        began, _ = self._running.pop(name)
        self._done[name] = Examined(self._checks[name], finding, round((clock.monotonic() - began) * 1000, 1))
        self._sight.found[name] = finding


def kept_from(check: Check, needs: Mapping[str, Examined]) -> Examined | None:
    """What becomes of a check that cannot be looked at, None when it can be.

    One that needs what these settings do not use decides for itself whether there is anything to look at.
    """
    for name, need in needs.items():
        if need.because is not None or need.finding.state not in HOLDS | {State.SKIP}:
            because = need.because or name
            return Examined(check, Finding(State.SKIP, f"not looked at: {because} does not hold"), 0.0, because)
    return None


def looked(check: Check, sight: Sight) -> Finding:
    """Look once; an error that a look expects to meet is a finding, any other one is `unknown`."""
    try:
        return check.look(sight)
    except HarnessError as error:
        state = State.FAIL if check.severity is Severity.FAILURE else State.WARN
        return Finding(state, error.cause, error.code, Manual(error.fix))
    except WireError as error:
        state = State.FAIL if check.severity is Severity.FAILURE else State.WARN
        return Finding(state, error.what, error.fault.name, Manual(check.solution))
    except RpcError as error:
        state = State.FAIL if check.severity is Severity.FAILURE else State.WARN
        return Finding(state, str(error), "PROTOCOL", Manual(check.solution))
    except Exception as error:  # noqa: BLE001 - the rim of a check: one that crashes is told as such, and hides no other
        return _unknown("CRASHED", f"it crashed: {type(error).__name__}: {error}")


def _unknown(code: str, what: str) -> Finding:
    return Finding(State.UNKNOWN, what, code, Manual(REPORT))

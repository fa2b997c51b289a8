"""Every mutant against its tool's cases: the first case that goes red kills it."""

import contextlib
import copy
import functools
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from harness.suite.case import Case, Kind
from harness.suite.cases import CASES
from harness.suite.judge import Verdict
from mixpanel_data.errors import MixpanelDataError
from mp_mcp_server.catalogue import ToolSpec
from tests.harness.mutations.operators import Mutant
from tests.harness.mutations.stage import Stage
from tests.harness.mutations.survivors import SURVIVORS

_WORKS = (Kind.GOOD, Kind.PECULIAR, Kind.LARGE, Kind.EMPTY)


class Outcome(StrEnum):
    """What became of a mutant.

    UNMET: there is nothing in any answer, or no error, that it could change, so that it is no mutant of this tool
    """

    KILLED = "killed"
    SURVIVED = "survived"
    UNMET = "-"


@dataclass(frozen=True, slots=True)
class Result:
    """A mutant's end.

    by: the case that killed it; why: what that case found
    met: cases in which it changed something
    """

    mutant: Mutant
    outcome: Outcome
    by: str = ""
    why: str = ""
    met: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """What passed between the server and a tool once."""

    arguments: Mapping[str, Any]
    answer: Any
    error: MixpanelDataError | None


@dataclass
class Check:
    """Runs mutants; knows which cases are good as the tools are, and what passes between tool and server in each.

    red: cases that are not, with the reason; no mutant is held against them
    """

    on: Stage
    red: dict[str, str] = field(default_factory=dict)
    _seen: dict[str, list[tuple[Case, list[Seen]]]] = field(default_factory=dict)

    def run(self, mutant: Mutant) -> Result:
        """One mutant."""
        cases = self._that_meet(mutant)
        touched: list[None] = []
        wrong = mutant.gone_wrong(lambda: touched.append(None))
        met = 0
        with mutant.operator.around(mutant.detail, lambda: touched.append(None)):
            for case in cases:
                touched.clear()
                verdict = self.on.run(case, wrong)
                met += bool(touched)
                if not verdict.good:
                    return Result(mutant, Outcome.KILLED, case.id, _why(verdict), met)
        unmet = not met and mutant.operator.side != "argument"
        return Result(mutant, Outcome.UNMET if unmet else Outcome.SURVIVED, met=met)

    def _that_meet(self, mutant: Mutant) -> list[Case]:
        """The cases in which the mutant changes something, as far as that can be told without running it."""
        seen = self._of(mutant.spec)
        if mutant.operator.side == "library":
            return [case for case, _ in seen if case.kind in _WORKS]
        return [case for case, passed in seen if any(_changes(mutant, each) for each in passed)]

    def _of(self, spec: ToolSpec) -> list[tuple[Case, list[Seen]]]:
        if spec.name not in self._seen:
            found: list[tuple[Case, list[Seen]]] = []
            for case in CASES:
                if case.tool != spec.name or case.via != "tape":
                    continue  # what goes by a time-out takes as long as one
                passed: list[Seen] = []
                verdict = self.on.run(case, replace(spec, run=functools.wraps(spec.run)(_watched(spec, passed))))
                if verdict.good:
                    found.append((case, passed))
                else:
                    self.red[case.id] = _why(verdict)
            self._seen[spec.name] = sorted(found, key=lambda pair: pair[0].kind not in _WORKS)
        return self._seen[spec.name]


def _why(verdict: Verdict) -> str:
    return verdict.broken or str(verdict.misses[0])


def _watched(spec: ToolSpec, passed: list[Seen]) -> Callable[..., Any]:
    def run(first: Any, **arguments: Any) -> Any:
        try:
            answer = spec.run(first, **arguments)
        except MixpanelDataError as error:
            passed.append(Seen(arguments, None, error))
            raise
        passed.append(Seen(arguments, copy.deepcopy(answer), None))
        return answer

    return run


def _changes(mutant: Mutant, seen: Seen) -> bool:
    """Whether the mutant would have changed what passed."""

    def again(_first: Any, **_arguments: Any) -> Any:
        if seen.error is not None:
            raise seen.error
        return copy.deepcopy(seen.answer)

    touched: list[None] = []
    run = mutant.operator.mutated(again, mutant.spec, mutant.detail, lambda: touched.append(None))
    with contextlib.suppress(MixpanelDataError):
        run(None, **seen.arguments)
    return bool(touched)


def faults(results: Sequence[Result], known: Collection[str], reasons: Mapping[str, str] = SURVIVORS) -> list[str]:
    """What is wrong with these results, a sentence each.

    Args:
        known: the names of all mutants that there are
    """
    survived = {result.mutant.name for result in results if result.outcome is Outcome.SURVIVED}
    ran = {result.mutant.name for result in results}
    found = [f"{name} survives, and no reason is given" for name in sorted(survived - reasons.keys())]
    found += [f"{name}: a reason, and it does not survive" for name in sorted((reasons.keys() & ran) - survived)]
    found += [f"{name}: a reason, and there is no such mutant" for name in sorted(reasons.keys() - set(known))]
    return found


def line(result: Result) -> str:
    """A row of the table; a survivor with its reason."""
    mutant = result.mutant
    unmet = "" if result.met else "no case meets it; "
    by = result.by or unmet + SURVIVORS.get(mutant.name, "no reason is given")
    return f"{mutant.spec.name:<29}{mutant.what:<46}{result.outcome:<10}{by}"


def total(results: Sequence[Result]) -> str:
    """The last line of the table."""
    counted = Counter(result.outcome for result in results)
    killed, survived = counted[Outcome.KILLED], counted[Outcome.SURVIVED]
    unmet = counted[Outcome.UNMET]
    return f"{killed + survived} mutants: {killed} killed, {survived} survived; {unmet} more change nothing"

"""The tapes of this checkout: whether each case has its own, how old they are, and whether a secret is on one."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from harness import clock
from harness.cassettes import launch, plan, scan, tape, written
from harness.cassettes.tape import Tape
from harness.doctor.check import Finding, bad, doubtful, good, unused
from harness.doctor.sight import Sight
from harness.errors import HarnessError

OLDEST = timedelta(days=90)
_SHOWN = 3


def complete(sight: Sight) -> Finding:
    """Whether every case that a tape can hold has one of the same calls, and every tape a case."""
    directory = _directory(sight)
    if directory is None:
        return unused(_NOWHERE)
    # The cases bring the server's catalogue along, which no other check needs.
    from harness.suite import facts, taped

    cases = taped.tape_cases(facts.load(directory))
    tapes, unreadable = _tapes(directory)
    found = plan.plan(cases, tapes, target="emulator", now=clock.now(), guess=lambda _: ())
    wanting = [f"{each.case.id}: {each.why}" for each in found.record if each.case.id not in unreadable]
    if wanting or unreadable:
        all_of_it = [*unreadable.values(), *wanting]
        what = f"{len(all_of_it)} of {len(cases)} cases have no good tape: {_some(all_of_it)}"
        return bad("INCOMPLETE", what, "harness record", cases=len(all_of_it))
    stale, odd = _stale(tapes), _odd(tapes)
    left = [*sorted(tapes.keys() - {case.id for case in cases}), *tape.strays(directory, (facts.FILE,))]
    if left:
        what = f"{len(left)} tapes belong to no case: {_some(left)}"
        return doubtful("LEFT_OVER", what, "remove them", tapes=left, stale=stale, odd=odd)
    return good(f"{len(tapes)} cases have their tapes", stale=stale, odd=odd)


def fresh(sight: Sight) -> Finding:
    """Whether live Mixpanel was asked lately, and the emulator with one data set.

    An emulator's tape does not age: it is a part of the same checkout, and `harness drift` asks it again.
    """
    if _directory(sight) is None:
        return unused(_NOWHERE)
    # All tapes have been read for that, and to read them once more takes seconds.
    known = sight.facts("cassettes.complete")
    stale, odd = known["stale"], known["odd"]
    if stale:
        what = f"{len(stale)} tapes of live Mixpanel are older than {OLDEST.days} days: {_some(stale)}"
        return doubtful("STALE", what, f"harness record --target live --stale {OLDEST.days}d", tapes=stale)
    if odd:
        what = f"{len(odd)} tapes are of another data set or another clock than the rest: {_some(odd)}"
        tools = " ".join(f"--only {tool}" for tool in sorted({_tool(case) for case in odd}))
        return doubtful("MIXED", what, f"harness record {tools}", tapes=odd)
    return good("none of the tapes is too old")


def free_of_secrets(sight: Sight) -> Finding:
    """Whether anything under the tapes' directory looks like a secret, or is one that this shell knows."""
    directory = _directory(sight)
    if directory is None:
        return unused(_NOWHERE)
    files = scan.everything(directory)
    found = scan.scan(files, scan.canaries(sight.settings.environment))
    if found:
        told = [f"{each.file.relative_to(directory)}, line {each.line}: {each.what}" for each in found]
        fix = "publish none of it; change the secret where it is a real one; then: harness record"
        return bad("SECRET", f"{len(found)} places look like secrets: {_some(told)}", fix, places=len(found))
    return good(f"{len(files)} files, and no secret in any")


_NOWHERE = "no case has a tape here: they are recorded in a checkout, by harness record"


def _directory(sight: Sight) -> Path | None:
    """Where tapes are; None where there is none."""
    root = sight.settings.root
    directory = root / launch.TAPES if root else None
    return directory if directory and tape.found(directory) else None


def _tapes(directory: Path) -> tuple[dict[str, Tape], dict[str, str]]:
    """Every tape by its case, and what is wrong with those that cannot be read."""
    tapes: dict[str, Tape] = {}
    unreadable: dict[str, str] = {}
    for case in tape.found(directory):
        try:
            tapes[case] = written.read(directory, case)
        except HarnessError as error:
            unreadable[case] = error.cause
    return tapes, unreadable


def _stale(tapes: Mapping[str, Tape]) -> list[str]:
    oldest = clock.now() - OLDEST
    live = {case: each.recorded for case, each in tapes.items() if each.recorded.target == "live"}
    return [case for case, recorded in live.items() if datetime.fromisoformat(recorded.at) < oldest]


def _odd(tapes: Mapping[str, Tape]) -> list[str]:
    kinds = {case: _kind(each) for case, each in tapes.items() if each.recorded.target == "emulator"}
    usual = Counter(kinds.values()).most_common(1)
    return [case for case, kind in kinds.items() if kind != usual[0][0]]


def _kind(of: Tape) -> tuple[str, str]:
    data: Mapping[str, object] = of.recorded.data or {}
    return of.recorded.clock, repr(sorted(data.items()))


def _tool(case: str) -> str:
    return case.partition("/")[2].partition("--")[0]


def _some(all_of_it: list[str]) -> str:
    more = f"; and {len(all_of_it) - _SHOWN} more" if len(all_of_it) > _SHOWN else ""
    return "; ".join(all_of_it[:_SHOWN]) + more

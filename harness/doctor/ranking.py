"""Which of all that does not hold is the root, and which is its consequence."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness.doctor.check import Finding, State
from harness.doctor.runner import Examined

BROKEN = (State.FAIL, State.UNKNOWN, State.WARN)
"""The states that are told first, the worst first."""


@dataclass(frozen=True, slots=True)
class Root:
    """One thing that does not hold of itself.

    consequences: what broke with it or could not be looked at, in the catalogue's order
    """

    examined: Examined
    consequences: tuple[Examined, ...]


def settled(found: Mapping[str, Examined]) -> dict[str, Examined]:
    """The same, with signs of what holds again by now told as the past.

    A line in a log says that something did not hold once; the check that it belongs to knows whether that is still so.
    """
    return {name: _settled(each, found) for name, each in found.items()}


def roots(found: Mapping[str, Examined]) -> tuple[Root, ...]:
    """What does not hold of itself, the worst first, then in the catalogue's order; what is a sign or a consequence of
    another stands below that one.

    Args:
        found: settled
    """
    broken = {name: each for name, each in found.items() if each.finding.state in BROKEN}
    above: dict[str, str] = {name: each.because for name, each in found.items() if each.because is not None}
    for name, each in broken.items():
        # Two that blame each other: the first is the root, so that neither is lost.
        blamed = next((other for other in each.finding.blames if other in broken and _top(other, above) != name), None)
        if blamed is not None:
            above[name] = blamed
    below: dict[str, list[Examined]] = {name: [] for name in broken if name not in above}
    for name in above:
        below[_top(name, above)].append(found[name])
    ranked = sorted(below, key=lambda name: BROKEN.index(broken[name].finding.state))
    return tuple(Root(broken[name], tuple(below[name])) for name in ranked)


def _top(name: str, above: Mapping[str, str]) -> str:
    while name in above:
        name = above[name]
    return name


def _settled(each: Examined, found: Mapping[str, Examined]) -> Examined:
    finding = each.finding
    if finding.state not in BROKEN or not finding.blames:
        return each
    if any(_may_be_behind(found.get(name)) for name in finding.blames):
        return each
    over = Finding(State.PASS, f"seen earlier in this run, and over: {finding.what}", facts=finding.facts)
    return replace(each, finding=over)


def _may_be_behind(blamed: Examined | None) -> bool:
    """Whether a check that is blamed is broken, or nobody knows."""
    return blamed is None or blamed.because is not None or blamed.finding.state is not State.PASS

"""Where a funnel loses its users, and which users it loses there more than others."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mp_mcp_server.analysis.significance import corrected, interval, two_proportions

SURE = 0.001
# One question, asked of the two worst steps alone.
_STANDS_OUT = 0.005
# What chance makes one time out of twenty is worth a second look, and no finding.
PERHAPS = 0.05
# Of the risk of being taken in, so much is spent on the step that loses the most: there people look first.
_AT_THE_WORST = 0.8
# Rates of a handful of users say nothing, whatever they are.
FEWEST_USERS = 20
_CLEARLY = 0.9


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a funnel.

    number: from 1 on
    reached: users who took it
    rate: of those who took the step before, who took this; 1 for the first
    lost: users who took the step before and not this
    """

    number: int
    name: str
    reached: int
    rate: float
    lost: int


@dataclass(frozen=True, slots=True)
class Performance:
    """How the users with one value of a property do against all others.

    entered, converted: users of the segment at the first and at the last step
    rate, rate_elsewhere: converted ÷ entered, of the segment and of all others
    interval: of the rate, at 95 percent
    p_value: that both rates are one, corrected for the number of segments
    """

    property: str
    value: str
    entered: int
    converted: int
    rate: float
    rate_elsewhere: float
    interval: tuple[float, float]
    p_value: float


@dataclass(frozen=True, slots=True)
class Weakness:
    """A step that the users with one value of a property take more rarely than all others.

    before, reached: users of the segment who took the step before, and this
    rate, rate_elsewhere: reached ÷ before, of the segment and of all others
    missed: users more who would have taken it at the others' rate
    p_value: corrected for all steps of all segments
    """

    property: str
    value: str
    step: Step
    before: int
    reached: int
    rate: float
    rate_elsewhere: float
    missed: float
    p_value: float


@dataclass(frozen=True, slots=True)
class FunnelFinding:
    """A funnel, step by step.

    conversion: last step ÷ first, 0 where nobody entered
    bottleneck: the step after the first with the lowest rate, None where nobody reached one that could be lost
    stands_out: its rate is surely lower than that of the next worst step, and by a tenth of it or more; else the steps
        lose users much alike
    weaknesses: where segments surely fall short, the costliest first
    suspicions: where segments may fall short, or not, the least likely to be chance first
    better, worse: segments whose whole conversion surely differs from the others', the most users first
    """

    steps: tuple[Step, ...]
    conversion: float
    bottleneck: Step | None
    stands_out: bool
    weaknesses: tuple[Weakness, ...]
    suspicions: tuple[Weakness, ...]
    better: tuple[Performance, ...]
    worse: tuple[Performance, ...]


def find_bottleneck(
    names: Sequence[str], reached: Sequence[int], segments: Mapping[str, Mapping[str, Sequence[int]]]
) -> FunnelFinding:
    """Read a funnel.

    Args:
        names: of its steps, in order, at least one
        reached: users who took each
        segments: property → value → users who took each step
    """
    steps = _steps(names, reached)
    lossy = sorted((step for step in steps[1:] if reached[step.number - 2]), key=lambda step: step.rate)
    known = [
        (name, value, counts)
        for name, values in segments.items()
        for value, counts in values.items()
        # A property that all share, or a user counted under two values, leaves no others to compare with.
        if all(0 <= part <= whole for part, whole in zip(counts, reached, strict=True))
    ]
    performances = _performances(known, reached)
    short = _falling_short(known, reached, steps, lossy[0].number if lossy else 0)
    return FunnelFinding(
        steps=steps,
        conversion=reached[-1] / reached[0] if reached[0] else 0.0,
        bottleneck=lossy[0] if lossy else None,
        stands_out=_stands_out(lossy),
        weaknesses=tuple(sorted((one for one in short if one.p_value < SURE), key=lambda one: -one.missed)),
        suspicions=tuple(sorted((one for one in short if SURE <= one.p_value < PERHAPS), key=lambda one: one.p_value)),
        better=tuple(one for one in performances if one.rate > one.rate_elsewhere),
        worse=tuple(one for one in performances if one.rate < one.rate_elsewhere),
    )


_Known = tuple[str, str, Sequence[int]]


def _stands_out(lossy: Sequence[Step]) -> bool:
    if len(lossy) < 2:
        return False
    worst, following = lossy[:2]
    chance = two_proportions(
        worst.reached, worst.reached + worst.lost, following.reached, following.reached + following.lost
    )
    return chance < _STANDS_OUT and worst.rate <= _CLEARLY * following.rate


def _steps(names: Sequence[str], reached: Sequence[int]) -> tuple[Step, ...]:
    before = [reached[0], *reached[:-1]]
    return tuple(
        Step(number, name, count, count / last if last else 0.0, last - count)
        for number, (name, count, last) in enumerate(zip(names, reached, before, strict=True), start=1)
    )


def _performances(known: Iterable[_Known], reached: Sequence[int]) -> list[Performance]:
    tested = [
        (name, value, counts[0], counts[-1], reached[0] - counts[0], reached[-1] - counts[-1])
        for name, value, counts in known
        if min(counts[0], reached[0] - counts[0]) >= FEWEST_USERS
    ]
    p_values = corrected(
        [two_proportions(done, entered, other, others) for _, _, entered, done, others, other in tested]
    )
    found = [
        Performance(name, value, entered, done, done / entered, other / others, interval(done, entered), p_value)
        for (name, value, entered, done, others, other), p_value in zip(tested, p_values, strict=True)
        if p_value < SURE
    ]
    return sorted(found, key=lambda one: -one.entered)


def _falling_short(
    known: Iterable[_Known], reached: Sequence[int], steps: Sequence[Step], worst: int
) -> list[Weakness]:
    tested = [
        (name, value, step, counts[at - 1], counts[at], reached[at - 1] - counts[at - 1], reached[at] - counts[at])
        for name, value, counts in known
        for at, step in enumerate(steps)
        if at and min(counts[at - 1], reached[at - 1] - counts[at - 1]) >= FEWEST_USERS
    ]
    p_values = corrected(
        [two_proportions(took, before, other, others) for *_, before, took, others, other in tested],
        _weights([step.number == worst for _, _, step, *_ in tested]),
    )
    return [
        Weakness(
            name, value, step, before, took, took / before, other / others, before * other / others - took, p_value
        )
        for (name, value, step, before, took, others, other), p_value in zip(tested, p_values, strict=True)
        if took * others < other * before
    ]


def _weights(at_the_worst: Sequence[bool]) -> list[float]:
    there = sum(at_the_worst)
    elsewhere = len(at_the_worst) - there
    return [_AT_THE_WORST / there if here else (1 - _AT_THE_WORST) / elsewhere for here in at_the_worst]

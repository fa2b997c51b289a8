"""Did an event's count fall, from which day on, by how much, and whose events are missing.

Two signs are weighed together. The event's own days: a step between two levels, weekdays apart, so that a weekend is no
fall. And the shares of segments: what befalls everybody on a day (a holiday, an outage, a growing product) changes no
share, so that a share that breaks says most precisely when and whose.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import accumulate
from math import log, log1p
from typing import NamedTuple

from mp_mcp_server.analysis.significance import from_likelihood_ratio, log_ratio

DAYS_BEFORE, DAYS_AFTER = 28, 21
TOLERANCE_DAYS = 3
SMALLEST_FALL = 0.05
SURE = 0.001
# What a segment shows so surely, the event as a whole must at least make likely.
_LIKELY = 0.05
# Days may differ less than chance has it, where all counts are large or somebody evens them out; to a point.
_CALMEST = 0.1
_WEEK = 7
_BASELINE_WEEKS = 3
# A segment that explains less than this of what is missing is not what happened.
_MATERIAL = 0.3
# What several segments may explain together, chance included.
_WHOLE = 1.2
_ROUNDS = 20
_MOST_DRIVERS = 4

Counts = Sequence[int]
Conditions = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """The events whose properties have these values.

    conditions: property and value, at least one pair
    counts: events a day, on the same days as the event's own
    """

    conditions: Conditions
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Driver:
    """A segment whose share of the event breaks on the day of the drop.

    contribution: its missing events ÷ all missing events; above 1 where others grew meanwhile
    before, after: events a day, in the baseline and since the drop, the same weekdays weighing alike
    fall: 1 - after ÷ before
    p_value: that its share did not change, corrected for the number of segments and days looked at
    """

    conditions: Conditions
    contribution: float
    before: float
    after: float
    fall: float
    p_value: float
    strength: float


@dataclass(frozen=True, slots=True)
class Drop:
    """What was found around the day that was asked about.

    confirmed: there is a fall of at least five percent that is surely none of chance, within three days of that day
    day: its first day; of an unconfirmed one, the day from which on the counts differ most from before
    size: share of the event that is missing, 0.25 for a quarter; negative where it grew
    before, after: events a day in the baseline and since
    baseline, since: first and last day of both, inclusive
    p_value: that nothing changed
    drivers: the segments whose shares broke, those that explain the most first; alike ones and parts of others left out
    suspect: the first of them; where none is sure, the one that a part of it may yet prove; None where nothing fell
    """

    confirmed: bool
    day: date
    size: float
    before: float
    after: float
    baseline: tuple[date, date]
    since: tuple[date, date]
    p_value: float
    drivers: tuple[Driver, ...]
    suspect: Driver | None


def find_drop(
    days: Sequence[date],
    total: Counts,
    segments: Iterable[Segment],
    *,
    asked: date,
    tolerance_days: int = TOLERANCE_DAYS,
) -> Drop | None:
    """Look for the one fall that the counts around a day show most clearly.

    Args:
        days: one after the other, whole ones only; four weeks before the day asked about and three after are good
        total: the event's count on each
        segments: of any number of properties; may overlap
        asked: the day on which somebody saw the fall

    Returns:
        None where the event never happened, or began less than eight days before the last.
    """
    began = next((at for at, count in enumerate(total) if count), len(total))
    days, total = days[began:], total[began:]  # an event that nobody knew yet did not rise
    if len(days) <= _WEEK:
        return None
    shown = [Segment(one.conditions, one.counts[began:]) for one in segments if any(one.counts)]
    places = range(_WEEK, len(days))
    weekdays = [day.weekday() for day in days]
    steps = {place: _step(total, weekdays, place) for place in places}
    shares = [_Shares(segment.counts, total) for segment in shown]
    breaks = {place: [one.broken(place) for one in shares] for place in places}
    place = max(places, key=lambda at: _evidence(steps[at], breaks[at]))
    span = _Span.around(place, len(days))
    before, after = _levels(total, weekdays, span)
    trials = _trials(shown, len(places))
    fallen = [
        _driver(segment, found, _levels(segment.counts, weekdays, span), before - after, trials)
        for segment, found in zip(shown, breaks[place], strict=True)
        if found.falls
    ]
    fallen = [driver for driver in fallen if driver.contribution >= _MATERIAL]
    drivers = _leading([driver for driver in fallen if driver.p_value < SURE])
    by_itself = from_likelihood_ratio(steps[place].statistic)
    p_value = min([1.0, by_itself * len(places), *(driver.p_value for driver in drivers[:1])])
    size = 1 - after / before if before else 0.0
    near = abs((days[place] - asked).days) <= tolerance_days
    likely = size >= SMALLEST_FALL and by_itself < _LIKELY
    return Drop(
        confirmed=near and likely and p_value < SURE,
        day=days[place],
        size=size,
        before=before,
        after=after,
        baseline=(days[span.first], days[place - 1]),
        since=(days[place], days[span.end - 1]),
        p_value=p_value,
        drivers=tuple(drivers),
        suspect=next(iter([*drivers, *_leading(fallen)]), None) if drivers or likely else None,
    )


def worth_splitting(found: Drop, properties: Iterable[str]) -> tuple[Driver, tuple[str, ...]] | None:
    """The suspect that a second property may narrow down, and the properties to try.

    Returns:
        None where nothing fell, or a second property is known already.
    """
    driver = found.suspect
    if driver is None or len(driver.conditions) > 1:
        return None
    known = {name for name, _ in driver.conditions}
    return driver, tuple(name for name in dict.fromkeys(properties) if name not in known)


def twins(driver: Driver, segments: Iterable[Segment]) -> set[str]:
    """The properties by which the driver's very events are called something else, so that they cannot narrow it down.

    Args:
        segments: by one property each, the driver's own among them
    """
    shown = list(segments)
    own = {segment.counts for segment in shown if segment.conditions == driver.conditions}
    return {segment.conditions[0][0] for segment in shown if segment.counts in own}


def rivals(driver: Driver, place: int, total: Counts, segments: Iterable[Segment]) -> list[Segment]:
    """What may be the first half of the answer as well as the driver: an iPhone is told from all of iOS by luck alone.

    Args:
        place: of the drop's day among the counts
        segments: by one property each, the driver's own among them

    Returns:
        Segments by other properties whose shares break surely there, the clearest first, without the driver's twins.
    """
    shown = [segment for segment in segments if any(segment.counts)]
    alike = twins(driver, shown)
    broken = [(segment, _Shares(segment.counts, total).broken(place)) for segment in shown]
    sure = [
        (segment, found.statistic)
        for segment, found in broken
        if segment.conditions[0][0] not in alike
        and found.falls
        and from_likelihood_ratio(found.statistic) * len(shown) * len(total) < SURE
    ]
    return [segment for segment, _ in sorted(sure, key=lambda one: -one[1])]


class _Step(NamedTuple):
    """ratio: level since ÷ level before; statistic: twice the logarithm of the likelihood ratio.

    telling: the same where days that are calmer than chance count as calm, which says more precisely when
    """

    ratio: float
    statistic: float
    telling: float


class _Break(NamedTuple):
    """falls: the share is smaller since; lost: events a day fewer than before."""

    falls: bool
    lost: float
    statistic: float


class _Span(NamedTuple):
    """Places of the baseline's first day, of the first day since, and behind the last."""

    first: int
    place: int
    end: int

    @classmethod
    def around(cls, place: int, count: int) -> "_Span":
        """Up to three whole weeks before, and the whole weeks since; fewer days where there is not even one week."""
        weeks = (count - place) // _WEEK
        return cls(
            place - _WEEK * min(_BASELINE_WEEKS, place // _WEEK), place, place + _WEEK * weeks if weeks else count
        )


def _evidence(step: _Step, breaks: Iterable[_Break]) -> float:
    if step.ratio >= 1:
        return -step.telling
    material = _MATERIAL * max((found.lost for found in breaks), default=0.0)
    falling = (found.statistic for found in breaks if found.falls and found.lost >= material > 0)
    return step.telling + max(falling, default=0.0)


def _step(counts: Counts, weekdays: Sequence[int], place: int) -> _Step:
    """Two levels with the same pattern of weekdays against one level: Poisson, its spread taken from what is left."""
    sums = [0.0] * _WEEK
    days_before, days_since = [0] * _WEEK, [0] * _WEEK
    for at, (count, weekday) in enumerate(zip(counts, weekdays, strict=True)):
        sums[weekday] += count
        (days_before if at < place else days_since)[weekday] += 1
    since = float(sum(counts[place:]))
    ratio, pattern = 1.0, [0.0] * _WEEK
    for _ in range(_ROUNDS):
        pattern = [
            total / (here + ratio * there) if here or there else 0.0
            for total, here, there in zip(sums, days_before, days_since, strict=True)
        ]
        expected = sum(level * there for level, there in zip(pattern, days_since, strict=True))
        ratio = since / expected if expected else 1.0
    flat = [
        total / (here + there) if here or there else 0.0
        for total, here, there in zip(sums, days_before, days_since, strict=True)
    ]
    gain, left = 0.0, 0.0
    for at, (count, weekday) in enumerate(zip(counts, weekdays, strict=True)):
        fitted = pattern[weekday] * (ratio if at >= place else 1.0)
        gain += 2 * (log_ratio(count, flat[weekday]) - log_ratio(count, fitted))
        left += (count - fitted) ** 2 / fitted if fitted else 0.0
    freedom = len(counts) - _WEEK - 1
    return _Step(ratio, gain / _spread(left, freedom), gain / _spread(left, freedom, _CALMEST))


class _Shares:
    """A segment's share of the event: on any day two shares against one, binomial, its spread taken from what is left.

    Kept as running sums, so that a look at one day more costs nothing.
    """

    def __init__(self, counts: Counts, total: Counts) -> None:
        squares = [count * count / whole if whole else 0.0 for count, whole in zip(counts, total, strict=True)]
        self._counts, self._total, self._squares = _running(counts), _running(total), _running(squares)

    def broken(self, place: int) -> _Break:
        """What a break on that day explains."""
        before, all_before, squares = self._counts[place], self._total[place], self._squares[place]
        since, all_since = self._counts[-1] - before, self._total[-1] - all_before
        shares = (before / all_before if all_before else 0.0, since / all_since if all_since else 0.0)
        one = (before + since) / (all_before + all_since)
        gain = 2 * (
            _log_likelihood(before, all_before, shares[0])
            + _log_likelihood(since, all_since, shares[1])
            - _log_likelihood(before + since, all_before + all_since, one)
        )
        left = _left(squares, before, all_before, shares[0])
        left += _left(self._squares[-1] - squares, since, all_since, shares[1])
        days = len(self._counts) - 1
        lost = before / place - since / (days - place)
        return _Break(shares[1] < shares[0], lost, gain / _spread(left, days - 2))


def _running(values: Sequence[float]) -> list[float]:
    """For each place, the sum of what lies before it."""
    return [0, *accumulate(values)]


def _left(squares: float, count: float, whole: float, share: float) -> float:
    """The sum of (count - whole × share)² ÷ (whole × share × (1 - share)) over days, from their sums.

    squares: the sum of count² ÷ whole
    """
    return (squares - 2 * share * count + share * share * whole) / (share * (1 - share)) if 0 < share < 1 else 0.0


def _log_likelihood(count: float, whole: float, share: float) -> float:
    return (
        count * log(share) * (count > 0) + (whole - count) * log1p(-share) * (whole > count) if 0 < share < 1 else 0.0
    )


def _spread(left: float, freedom: int, least: float = 1.0) -> float:
    """How much more than by chance the days differ; a p-value takes 1 as the least, so that luck is not order."""
    return max(least, left / freedom) if freedom > 0 else 1.0


def _levels(counts: Counts, weekdays: Sequence[int], span: _Span) -> tuple[float, float]:
    """Events a day before and since, the days before weighing as the weekdays of the days since."""
    sums, days = [0] * _WEEK, [0] * _WEEK
    for at in range(span.first, span.place):
        sums[weekdays[at]] += counts[at]
        days[weekdays[at]] += 1
    expected = sum(sums[weekdays[at]] / days[weekdays[at]] for at in range(span.place, span.end))
    return expected / (span.end - span.place), sum(counts[span.place : span.end]) / (span.end - span.place)


def _trials(shown: Iterable[Segment], places: int) -> dict[int, int]:
    """How many chances there were to be taken in, by the number of conditions.

    A part was looked at because of the whole that it is a part of, and any other whole could have been that one.
    """
    numbers = Counter(len(segment.conditions) for segment in shown)
    return {depth: places * count * max(1, numbers[1] if depth > 1 else 1) for depth, count in numbers.items()}


def _driver(
    segment: Segment, found: _Break, levels: tuple[float, float], missing: float, trials: Mapping[int, int]
) -> Driver:
    before, after = levels
    return Driver(
        conditions=segment.conditions,
        contribution=(before - after) / missing if missing > 0 else 0.0,
        before=before,
        after=after,
        fall=1 - after / before if before else 0.0,
        p_value=min(1.0, from_likelihood_ratio(found.statistic) * trials[len(segment.conditions)]),
        strength=found.statistic,
    )


def _leading(drivers: list[Driver]) -> list[Driver]:
    """The strongest first, equal ones in the order given; what only repeats or widens one before it is left out."""
    ordered = sorted(drivers, key=lambda one: -one.strength)
    kept: list[Driver] = []
    for driver in ordered:
        # Together they cannot explain more than is missing: such a one is the same users by another name, or some more.
        explained = sum(other.contribution for other in kept)
        repeats = any(set(driver.conditions) & set(other.conditions) for other in kept)
        if not kept or (not repeats and explained + driver.contribution <= _WHOLE):
            kept.append(driver)
    return kept[:_MOST_DRIVERS]

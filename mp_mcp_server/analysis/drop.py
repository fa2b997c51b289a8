"""Did an event's count fall, from which day on, by how much, and whose events are missing.

Two signs are weighed together. The event's own days: a step between two levels, weekdays apart, so that a weekend is no
fall. And the shares of segments: what befalls everybody on a day (a holiday, an outage, a growing product) changes no
share, so that a share that breaks says most precisely when and whose.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from math import log, log1p
from typing import NamedTuple

from mp_mcp_server.analysis.significance import from_likelihood_ratio, log_ratio

DAYS_BEFORE, DAYS_AFTER = 28, 21
TOLERANCE_DAYS = 3
SMALLEST_FALL = 0.05
SURE = 0.001
# What a segment shows so surely, the event as a whole must at least make likely.
_LIKELY = 0.05
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
        None where there are fewer than eight days, or nothing happened on any.
    """
    if len(days) <= _WEEK or not sum(total):
        return None
    shown = [segment for segment in segments if any(segment.counts)]
    places = range(_WEEK, len(days))
    weekdays = [day.weekday() for day in days]
    steps = {place: _step(total, weekdays, place) for place in places}
    breaks = {place: [_break(segment.counts, total, place) for segment in shown] for place in places}
    place = max(places, key=lambda at: _evidence(steps[at], breaks[at]))
    span = _Span.around(place, len(days))
    before, after = _levels(total, weekdays, span)
    trials = len(places) * max(1, len(shown))
    drivers = [
        _driver(segment, found, _levels(segment.counts, weekdays, span), before - after, trials)
        for segment, found in zip(shown, breaks[place], strict=True)
        if found.falls
    ]
    drivers = _leading([driver for driver in drivers if driver.p_value < SURE and driver.contribution >= _MATERIAL])
    by_itself = from_likelihood_ratio(steps[place].statistic)
    p_value = min([1.0, by_itself * len(places), *(driver.p_value for driver in drivers[:1])])
    size = 1 - after / before if before else 0.0
    near = abs((days[place] - asked).days) <= tolerance_days
    return Drop(
        confirmed=near and size >= SMALLEST_FALL and by_itself < _LIKELY and p_value < SURE,
        day=days[place],
        size=size,
        before=before,
        after=after,
        baseline=(days[span.first], days[place - 1]),
        since=(days[place], days[span.end - 1]),
        p_value=p_value,
        drivers=tuple(drivers),
    )


def worth_splitting(found: Drop, properties: Iterable[str]) -> tuple[Driver, tuple[str, ...]] | None:
    """The driver that a second property may narrow down, and the properties to try.

    Returns:
        None where nothing drives the fall, or a second property is known already.
    """
    if not found.drivers or len(found.drivers[0].conditions) > 1:
        return None
    driver = found.drivers[0]
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
    broken = [(segment, _break(segment.counts, total, place)) for segment in shown]
    sure = [
        (segment, found.statistic)
        for segment, found in broken
        if segment.conditions[0][0] not in alike
        and found.falls
        and from_likelihood_ratio(found.statistic) * len(shown) * len(total) < SURE
    ]
    return [segment for segment, _ in sorted(sure, key=lambda one: -one[1])]


class _Step(NamedTuple):
    """ratio: level since ÷ level before; statistic: twice the logarithm of the likelihood ratio."""

    ratio: float
    statistic: float


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
        return -step.statistic
    material = _MATERIAL * max((found.lost for found in breaks), default=0.0)
    falling = (found.statistic for found in breaks if found.falls and found.lost >= material > 0)
    return step.statistic + max(falling, default=0.0)


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
    return _Step(ratio, gain / _spread(left, len(counts) - _WEEK - 1))


def _break(counts: Counts, total: Counts, place: int) -> _Break:
    """Two shares of the event against one: binomial, its spread taken from what is left."""
    before, since = sum(counts[:place]), sum(counts[place:])
    all_before, all_since = sum(total[:place]), sum(total[place:])
    shares = (before / all_before if all_before else 0.0, since / all_since if all_since else 0.0)
    one = (before + since) / (all_before + all_since)
    gain = 2 * (
        _log_likelihood(before, all_before, shares[0])
        + _log_likelihood(since, all_since, shares[1])
        - _log_likelihood(before + since, all_before + all_since, one)
    )
    left = 0.0
    for at, (count, whole) in enumerate(zip(counts, total, strict=True)):
        share = shares[at >= place]
        if whole and 0 < share < 1:
            left += (count - whole * share) ** 2 / (whole * share * (1 - share))
    lost = before / place - since / (len(counts) - place)
    return _Break(shares[1] < shares[0], lost, gain / _spread(left, len(counts) - 2))


def _log_likelihood(count: int, whole: int, share: float) -> float:
    return (
        count * log(share) * (count > 0) + (whole - count) * log1p(-share) * (whole > count) if 0 < share < 1 else 0.0
    )


def _spread(left: float, freedom: int) -> float:
    """How much more than by chance the days differ; never below 1, so that luck is not taken for order."""
    return max(1.0, left / freedom) if freedom > 0 else 1.0


def _levels(counts: Counts, weekdays: Sequence[int], span: _Span) -> tuple[float, float]:
    """Events a day before and since, the days before weighing as the weekdays of the days since."""
    sums, days = [0] * _WEEK, [0] * _WEEK
    for at in range(span.first, span.place):
        sums[weekdays[at]] += counts[at]
        days[weekdays[at]] += 1
    expected = sum(sums[weekdays[at]] / days[weekdays[at]] for at in range(span.place, span.end))
    return expected / (span.end - span.place), sum(counts[span.place : span.end]) / (span.end - span.place)


def _driver(segment: Segment, found: _Break, levels: tuple[float, float], missing: float, trials: int) -> Driver:
    before, after = levels
    return Driver(
        conditions=segment.conditions,
        contribution=(before - after) / missing if missing > 0 else 0.0,
        before=before,
        after=after,
        fall=1 - after / before if before else 0.0,
        p_value=min(1.0, from_likelihood_ratio(found.statistic) * trials),
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

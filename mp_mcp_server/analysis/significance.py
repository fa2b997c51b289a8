"""How sure one may be: a few tests whose arithmetic fits on a page, without a statistics package behind them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, erfc, exp, fsum, lgamma, log, sqrt
from statistics import NormalDist

# Below so many expected hits or misses in a group the normal approximation is not to be trusted.
_FEW = 10
_POWER = 0.8


def two_proportions(hits_a: int, count_a: int, hits_b: int, count_b: int) -> float:
    """How likely two groups would differ by so much if their rates were one and the same.

    Args:
        hits_a, count_a: of so many users of one group, so many did it
        hits_b, count_b: of the other

    Returns:
        The two-sided p-value, of a z test with the pooled rate or, where a group is small, of Fisher's exact test; 1
        where a group is empty.
    """
    if not count_a or not count_b:
        return 1.0
    hits, count = hits_a + hits_b, count_a + count_b
    smaller = min(count_a, count_b)
    if smaller * min(hits, count - hits) < _FEW * count:
        return _fisher(hits_a, count_a, hits_b, count_b)
    pooled = hits / count
    spread = sqrt(pooled * (1 - pooled) * (1 / count_a + 1 / count_b))
    return from_z((hits_a / count_a - hits_b / count_b) / spread)


@dataclass(frozen=True, slots=True)
class Sample:
    """What the users of a group did, each: how many they are, the mean, and the variance around it (n - 1)."""

    count: int
    mean: float
    variance: float

    @classmethod
    def of_sums(cls, count: int, total: float, squares: float) -> "Sample":
        """From the sum of the values and the sum of their squares; users without any count as 0."""
        mean = total / count if count else 0.0
        return cls(count, mean, max(0.0, (squares - total * mean) / (count - 1)) if count > 1 else 0.0)


def means(a: Sample, b: Sample) -> float:
    """The same for the means of two groups of users, whose variances need not be alike (Welch).

    Returns:
        The two-sided p-value by the normal approximation, good from some thirty users a group on; 1 where a group has
        fewer than two users or nobody differs from anybody.
    """
    if min(a.count, b.count) < 2:
        return 1.0
    spread = sqrt(a.variance / a.count + b.variance / b.count)
    if not spread:
        return 1.0 if a.mean == b.mean else 0.0
    return from_z((a.mean - b.mean) / spread)


def from_z(z: float) -> float:
    """The two-sided p-value of a standard normal deviate."""
    return erfc(abs(z) / sqrt(2))


def from_likelihood_ratio(statistic: float) -> float:
    """The p-value of twice the logarithm of a likelihood ratio, with one parameter more."""
    return erfc(sqrt(max(statistic, 0.0) / 2))


def corrected(p_values: Sequence[float], weights: Sequence[float] | None = None) -> list[float]:
    """The p-values as if each had been the only question asked: Holm's correction, in the order given.

    Args:
        p_values: of all questions that were asked together
        weights: how much of the risk of being taken in is spent on each, above 0; the same on each when left out
    """
    shares = weights or [1.0] * len(p_values)
    order = sorted(range(len(p_values)), key=lambda place: p_values[place] / shares[place])
    adjusted, worst, left = [1.0] * len(p_values), 0.0, fsum(shares)
    for place in order:
        worst = max(worst, min(1.0, p_values[place] / shares[place] * left))
        adjusted[place] = worst
        left -= shares[place]
    return adjusted


def detectable(rate: float, count_a: int, count_b: int, *, sure: float) -> float:
    """The difference of two groups' rates that four times out of five would be told as surely as that.

    Args:
        rate: of both groups together
        count_a, count_b: their users, at least one each
        sure: the p-value that is asked for, before any correction
    """
    normal = NormalDist()
    spread = sqrt(rate * (1 - rate) * (1 / count_a + 1 / count_b))
    return (normal.inv_cdf(1 - sure / 2) + normal.inv_cdf(_POWER)) * spread


def interval(hits: int, count: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a rate; 0 to 1 where nobody was asked."""
    if not count:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    rate, shrink = hits / count, 1 + z * z / count
    middle = (rate + z * z / (2 * count)) / shrink
    half = z * sqrt(rate * (1 - rate) / count + z * z / (4 * count * count)) / shrink
    # Rounding must not take the last hair's breadth of a rate that all or nobody reached.
    return (middle - half if hits else 0.0), (middle + half if hits < count else 1.0)


def _fisher(hits_a: int, count_a: int, hits_b: int, count_b: int) -> float:
    hits = hits_a + hits_b
    seen = _hypergeometric(hits_a, hits, count_a, count_b)
    possible = range(max(0, hits - count_b), min(hits, count_a) + 1)
    # A tie may come out a little above by rounding.
    chances = (_hypergeometric(found, hits, count_a, count_b) for found in possible)
    return min(1.0, sum(chance for chance in chances if chance <= seen * (1 + 1e-7)))


def _hypergeometric(found: int, hits: int, count_a: int, count_b: int) -> float:
    if count_a + count_b < 1000:
        return comb(count_a, found) * comb(count_b, hits - found) / comb(count_a + count_b, hits)
    return exp(_log_comb(count_a, found) + _log_comb(count_b, hits - found) - _log_comb(count_a + count_b, hits))


def _log_comb(count: int, taken: int) -> float:
    return lgamma(count + 1) - lgamma(taken + 1) - lgamma(count - taken + 1)


def log_ratio(count: float, expected: float) -> float:
    """count × ln(count ÷ expected), 0 where nothing was counted."""
    return count * log(count / expected) if count else 0.0

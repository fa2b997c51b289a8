"""Acquisition, activation, retention, revenue, referral: rates of a product, and marks for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import fsum

RETENTION_DAYS = (1, 7, 30)
# A day n that is not over for every user of a day would count those as gone; the second day is for clock changes.
_MARGIN_DAYS = 2
LOWEST_SCORE, HIGHEST_SCORE = 1, 10

# What a rate earns: 1 below the first bound, one more for each that it reaches. Round figures that product teams use.
ACTIVATION_BOUNDS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6)
RETENTION_BOUNDS = (0.01, 0.03, 0.05, 0.08, 0.12, 0.18, 0.25, 0.35, 0.45)
SHARE_BOUNDS = (0.002, 0.005, 0.01, 0.02, 0.04, 0.07, 0.1, 0.15, 0.25)
GROWTH_BOUNDS = (-0.4, -0.25, -0.15, -0.05, 0.0, 0.05, 0.15, 0.25, 0.4)


@dataclass(frozen=True, slots=True)
class Retained:
    """Users of the days that are old enough, and those of them who came back on day n.

    day: n, from n to n + 1 times 24 hours after the user's own first event
    """

    day: int
    users: int
    returned: int
    first: date
    last: date

    @property
    def rate(self) -> float:
        """0 where there are no users."""
        return self.returned / self.users if self.users else 0.0


def retained(
    cohorts: Mapping[date, tuple[int, Sequence[int]]], last_day: date, wanted: Sequence[int] = RETENTION_DAYS
) -> list[Retained]:
    """Day-n retention over all cohorts that are old enough for it.

    Args:
        cohorts: day → users who began on it, and how many of them came back on day 0, 1, 2 …
        last_day: the last day that is over
        wanted: which days n

    Returns:
        One for each n that any cohort with users is old enough for.
    """
    found = []
    for day in wanted:
        old = {
            began: (users, counts[day])
            for began, (users, counts) in sorted(cohorts.items())
            if began <= last_day - timedelta(days=day + _MARGIN_DAYS) and len(counts) > day
        }
        users = sum(count for count, _ in old.values())
        if users:
            found.append(Retained(day, users, sum(count for _, count in old.values()), min(old), max(old)))
    return found


def growth(daily: Sequence[float]) -> float | None:
    """The end of a period against as many days before it, as a share: half of it, in whole weeks where there are any.

    Returns:
        0.25 for a quarter more; None where something happens, and nothing did before: no share tells how much more.
    """
    half = len(daily) // 2
    if half >= 7:
        half -= half % 7
    before, since = fsum(daily[len(daily) - 2 * half : len(daily) - half]), fsum(daily[len(daily) - half :])
    if not before:
        return None if since else 0.0
    return since / before - 1


def score(rate: float, bounds: Sequence[float]) -> int:
    """A mark from 1 to 10: one for each bound that the rate reaches, and one for being there."""
    return LOWEST_SCORE + sum(rate >= bound for bound in bounds)

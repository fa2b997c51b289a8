"""Whether two groups of users behave differently, judged user by user."""

from collections.abc import Mapping
from dataclasses import dataclass

from mp_mcp_server.analysis.significance import Sample, corrected, interval, means, two_proportions

SURE = 0.001
# What chance makes one time out of twenty is worth a second look, and no finding.
PERHAPS = 0.05
FEWEST_USERS = 30


@dataclass(frozen=True, slots=True)
class Returned:
    """Of so many users, so many came back."""

    users: int
    returned: int

    @property
    def rate(self) -> float:
        """0 where there are no users."""
        return self.returned / self.users if self.users else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Of the rate, at 95 percent."""
        return interval(self.returned, self.users)


@dataclass(frozen=True, slots=True)
class Difference:
    """One question put to both groups.

    name: what was compared
    a, b: a rate, or a mean a user
    p_value: that both are one, corrected for all questions that were asked together
    differs: surely, and both groups are large enough to say so
    """

    name: str
    a: float
    b: float
    p_value: float
    differs: bool

    @property
    def ratio(self) -> float | None:
        """a ÷ b, None where b is 0."""
        return self.a / self.b if self.b else None


@dataclass(frozen=True, slots=True)
class CohortFinding:
    """Two groups side by side.

    retention: by period
    frequency: events a user, by event
    """

    retention: tuple[Difference, ...]
    frequency: tuple[Difference, ...]

    @property
    def differ(self) -> bool:
        """Whether any question surely tells them apart."""
        return any(one.differs for one in (*self.retention, *self.frequency))

    @property
    def perhaps(self) -> tuple[Difference, ...]:
        """What may tell them apart, and may be chance."""
        return tuple(one for one in (*self.retention, *self.frequency) if not one.differs and one.p_value < PERHAPS)


def compare(
    returned: Mapping[str, tuple[Returned, Returned]], events: Mapping[str, tuple[Sample, Sample]]
) -> CohortFinding:
    """Put all questions to both groups at once, so that one lucky answer among many is not taken for a difference.

    Half of the risk of being taken in is spent on coming back and half on what is done: that there are many events to
    ask about does not make it harder to see who comes back.

    Args:
        returned: period → those who came back in it, of the first and of the second group
        events: event → how often the users of either group did it
    """
    p_values = [two_proportions(a.returned, a.users, b.returned, b.users) for a, b in returned.values()]
    p_values += [means(a, b) for a, b in events.values()]
    adjusted = corrected(p_values, _alike(len(returned)) + _alike(len(events)))
    retention = tuple(
        Difference(name, a.rate, b.rate, p, p < SURE and min(a.users, b.users) >= FEWEST_USERS)
        for (name, (a, b)), p in zip(returned.items(), adjusted[: len(returned)], strict=True)
    )
    frequency = tuple(
        Difference(name, a.mean, b.mean, p, p < SURE and min(a.count, b.count) >= FEWEST_USERS)
        for (name, (a, b)), p in zip(events.items(), adjusted[len(returned) :], strict=True)
    )
    return CohortFinding(retention, frequency)


def _alike(count: int) -> list[float]:
    return [1 / count] * count if count else []

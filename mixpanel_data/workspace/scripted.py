"""What Mixpanel computes by script: one's own, and those of the library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mixpanel_data import jql, scripted
from mixpanel_data.workspace.core import Core

if TYPE_CHECKING:
    from mixpanel_data.jql import JQLResult
    from mixpanel_data.scripted import (
        DailyCountsResult,
        EngagementDistributionResult,
        NumericPropertySummaryResult,
        PropertyCoverageResult,
        PropertyDistributionResult,
    )


class ScriptCalls(Core):
    """Questions that are a JQL script.

    Mixpanel keeps JQL running and advises against it; a project may not have it. Each call counts against the limits
    of JQL and of queries.
    """

    def jql(self, script: str, params: Mapping[str, Any] | None = None) -> JQLResult:
        """Run a script over raw events and profiles.

        Args:
            script: JavaScript that defines `main()`
            params: what the script finds as `params`; put values here and not into its text

        Raises:
            InvalidArgumentError: a ValueError: no script, or params that are no JSON.
            JQLSyntaxError: the script does not compile, or fails; the place is in `line_info`.
            APIError and its kinds: Mixpanel refuses.

        Source: reference/mixpanel-api.md, section 10
        """
        return jql.jql(self.api, script, params)

    def property_distribution(
        self,
        event: str,
        property: str,  # noqa: A002 -- the public contract's own name
        *,
        from_date: str,
        to_date: str,
        limit: int = 20,
    ) -> PropertyDistributionResult:
        """The most frequent values of an event's property, and their share of the events that have it.

        Args:
            event, property: their names
            from_date, to_date: YYYY-MM-DD, both included, in the project's time zone
            limit: how many values at most

        Raises:
            InvalidArgumentError: a ValueError: an argument is wrong.
            APIError and its kinds: Mixpanel refuses.

        Source: reference/mixpanel-api.md, section 10
        """
        return scripted.property_distribution(
            self.api, event, property, from_date=from_date, to_date=to_date, limit=limit
        )

    def numeric_summary(
        self,
        event: str,
        property: str,  # noqa: A002 -- the public contract's own name
        *,
        from_date: str,
        to_date: str,
        percentiles: Sequence[float] | None = None,
    ) -> NumericPropertySummaryResult:
        """Count, range, sum, mean, deviation and percentiles of the numbers of an event's property.

        Args:
            event, property: their names; values that are no numbers are left out
            from_date, to_date: YYYY-MM-DD, both included, in the project's time zone
            percentiles: numbers from 0 to 100; None takes 25, 50, 75, 90, 95 and 99

        Raises:
            InvalidArgumentError: a ValueError: an argument is wrong.
            APIError and its kinds: Mixpanel refuses.

        Source: reference/mixpanel-api.md, sections 10 and 10.6
        """
        return scripted.numeric_summary(
            self.api, event, property, from_date=from_date, to_date=to_date, percentiles=percentiles
        )

    def daily_counts(self, *, from_date: str, to_date: str, events: Sequence[str] | None = None) -> DailyCountsResult:
        """How often each event happened on each day.

        Args:
            from_date, to_date: YYYY-MM-DD, both included, in the project's time zone
            events: only these; None takes all

        Raises:
            InvalidArgumentError: a ValueError: an argument is wrong.
            APIError and its kinds: Mixpanel refuses.

        Source: reference/mixpanel-api.md, section 10
        """
        return scripted.daily_counts(self.api, from_date=from_date, to_date=to_date, events=events)

    def engagement_distribution(
        self,
        *,
        from_date: str,
        to_date: str,
        events: Sequence[str] | None = None,
        buckets: Sequence[int] | None = None,
    ) -> EngagementDistributionResult:
        """How many users did how many events.

        Args:
            from_date, to_date: YYYY-MM-DD, both included, in the project's time zone
            events: only these; None takes all
            buckets: where each range of numbers begins, ascending, the last one open; None takes 1, 2, 5, 10, 25, 50
                and 100

        Raises:
            InvalidArgumentError: a ValueError: an argument is wrong.
            APIError and its kinds: Mixpanel refuses.

        Source: reference/mixpanel-api.md, sections 10.5 and 10.7
        """
        return scripted.engagement_distribution(
            self.api, from_date=from_date, to_date=to_date, events=events, buckets=buckets
        )

    def property_coverage(
        self, event: str, properties: Sequence[str], *, from_date: str, to_date: str
    ) -> PropertyCoverageResult:
        """How many events of a name have each of some properties; null is as good as not having it.

        Args:
            event: its name
            properties: their names
            from_date, to_date: YYYY-MM-DD, both included, in the project's time zone

        Raises:
            InvalidArgumentError: a ValueError: an argument is wrong.
            APIError and its kinds: Mixpanel refuses.

        Source: reference/mixpanel-api.md, section 10
        """
        return scripted.property_coverage(self.api, event, properties, from_date=from_date, to_date=to_date)

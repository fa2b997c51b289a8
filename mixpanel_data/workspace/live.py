"""What Mixpanel computes: questions with an operation of their own. Those that need a script are in `scripted`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mixpanel_data import activity, frequency, funnels, live, numeric, reports, retention
from mixpanel_data.workspace.core import Core

if TYPE_CHECKING:
    from mixpanel_data.activity import ActivityFeedResult
    from mixpanel_data.choices import BucketUnit, CountType, HourDayUnit, TimeUnit
    from mixpanel_data.frequency import FrequencyResult
    from mixpanel_data.funnels import FunnelResult
    from mixpanel_data.live import EventCountsResult, PropertyCountsResult, SegmentationResult
    from mixpanel_data.numeric import NumericAverageResult, NumericBucketResult, NumericSumResult
    from mixpanel_data.reports import FlowsResult, SavedReportResult
    from mixpanel_data.retention import RetentionResult


class LiveCalls(Core):
    """Questions that Mixpanel answers itself, each time anew."""

    def segmentation(
        self,
        event: str,
        *,
        from_date: str,
        to_date: str,
        on: str | None = None,
        unit: BucketUnit = "day",
        where: str | None = None,
    ) -> SegmentationResult:
        """How often an event happened, over time and, with `on`, by the values of a property.

        Args:
            event: its name
            from_date, to_date: YYYY-MM-DD, both included, in the project's time zone
            on: a property's name, or an expression
            unit: minute, hour, day, week or month
            where: an expression that events must fulfil

        Raises:
            InvalidArgumentError: a ValueError: a date or unit is wrong.
            APIError and its kinds: Mixpanel refuses.

        Source: reference/mixpanel-api.md, section 7.7
        """
        return live.segmentation(self.api, event, from_date=from_date, to_date=to_date, on=on, unit=unit, where=where)

    def event_counts(
        self,
        events: Sequence[str],
        *,
        from_date: str,
        to_date: str,
        type: CountType = "general",  # noqa: A002 -- the public contract's own name
        unit: BucketUnit = "day",
    ) -> EventCountsResult:
        """How often each of several events happened, over time.

        Args:
            events: their names
            from_date, to_date: YYYY-MM-DD, both included, in the project's time zone
            type: general (events), unique (users of each bucket) or average (events per user)
            unit: minute, hour, day, week or month; unique has none below a day

        Raises:
            InvalidArgumentError: a ValueError: an argument is wrong.
            APIError and its kinds: Mixpanel refuses.

        Source: reference/mixpanel-api.md, section 7.5
        """
        return live.event_counts(self.api, events, from_date=from_date, to_date=to_date, type=type, unit=unit)

    def property_counts(
        self,
        event: str,
        property_name: str,
        *,
        from_date: str,
        to_date: str,
        type: CountType = "general",  # noqa: A002 -- the public contract's own name
        unit: BucketUnit = "day",
        values: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> PropertyCountsResult:
        """How often an event happened with each value of a property, over time.

        Args:
            event: its name
            property_name: the property's name, not an expression
            from_date, to_date: YYYY-MM-DD, both included, in the project's time zone
            type: general (events), unique (users of each bucket) or average (events per user)
            unit: minute, hour, day, week or month; unique has none below a day
            values: only these, as text; None takes the largest
            limit: how many values at most; None takes Mixpanel's 255

        Raises:
            InvalidArgumentError: a ValueError: an argument is wrong.
            APIError and its kinds: Mixpanel refuses.

        Source: reference/mixpanel-api.md, section 7.6
        """
        return live.property_counts(
            self.api,
            event,
            property_name,
            from_date=from_date,
            to_date=to_date,
            type=type,
            unit=unit,
            values=values,
            limit=limit,
        )

    def funnel(
        self,
        funnel_id: int,
        *,
        from_date: str,
        to_date: str,
        unit: TimeUnit | None = None,
        on: str | None = None,
    ) -> FunnelResult:
        """How many users get how far in a saved funnel.

        Args:
            funnel_id: from `funnels`; the id of a saved report is another
            from_date, to_date: YYYY-MM-DD, both included: when users began, in the project's time zone
            unit: day, week or month: each is a funnel of its own, and their counts are added up; None takes days
            on: a property's name, or an expression, by which Mixpanel segments; the result is of all segments together

        Raises:
            InvalidArgumentError: a ValueError: an argument is wrong.
            QueryError: Mixpanel has no such funnel, or `to_date` is in the project's future.
            APIError and its kinds: Mixpanel refuses.

        Source: reference/mixpanel-api.md, section 7.12
        """
        return funnels.funnel(self.api, funnel_id, from_date=from_date, to_date=to_date, unit=unit, on=on)

    def retention(
        self,
        *,
        born_event: str,
        return_event: str,
        from_date: str,
        to_date: str,
        born_where: str | None = None,
        return_where: str | None = None,
        interval: int = 1,
        interval_count: int = 10,
        unit: TimeUnit = "day",
    ) -> RetentionResult:
        """How many of the users who did one event did another in each interval after it.

        Args:
            born_event, return_event: their names; where they are the same, only later events are returns
            from_date, to_date: YYYY-MM-DD, both included: when users did the first event of theirs in this range, in
                the project's time zone
            born_where, return_where: expressions that the events must fulfil
            interval: how many units an interval has, at most 90 days in all; other than 1, weeks count as 7 days and
                months as 30, for cohorts too
            interval_count: how many intervals, the one that begins with the first event included
            unit: day, week or month

        Raises:
            InvalidArgumentError: a ValueError: an argument is wrong.
            APIError and its kinds: Mixpanel refuses.

        Source: reference/mixpanel-api.md, section 7.13
        """
        return retention.retention(
            self.api,
            born_event=born_event,
            return_event=return_event,
            from_date=from_date,
            to_date=to_date,
            born_where=born_where,
            return_where=return_where,
            interval=interval,
            interval_count=interval_count,
            unit=unit,
        )

    def frequency(
        self,
        *,
        from_date: str,
        to_date: str,
        unit: TimeUnit = "day",
        addiction_unit: HourDayUnit = "hour",
        event: str | None = None,
        where: str | None = None,
    ) -> FrequencyResult:
        """In how many hours of a day, or days of a week or month, users are active.

        Args:
            from_date, to_date: YYYY-MM-DD, both included, in the project's time zone
            unit: day, week or month: the outer period
            addiction_unit: hour or day: the inner period
            event: what counts as being active; None takes any event
            where: an expression that events must fulfil

        Raises:
            InvalidArgumentError: a ValueError: an argument is wrong.
            APIError and its kinds: Mixpanel refuses.

        Source: reference/mixpanel-api.md, section 7.14
        """
        return frequency.frequency(
            self.api,
            from_date=from_date,
            to_date=to_date,
            unit=unit,
            addiction_unit=addiction_unit,
            event=event,
            where=where,
        )

    def segmentation_numeric(
        self,
        event: str,
        *,
        from_date: str,
        to_date: str,
        on: str,
        unit: HourDayUnit = "day",
        where: str | None = None,
        type: CountType = "general",  # noqa: A002 -- the public contract's own name
    ) -> NumericBucketResult:
        """How often an event happened with a number in each of some ranges, over time.

        Args:
            event: its name
            from_date, to_date: YYYY-MM-DD, both included, in the project's time zone
            on: a property that holds numbers, or an expression; `number(…)` makes one of a text
            unit: hour or day
            where: an expression that events must fulfil
            type: general (events), unique (users of each bucket) or average (events per user)

        Raises:
            InvalidArgumentError: a ValueError: an argument is wrong.
            APIError and its kinds: Mixpanel refuses.

        Source: reference/mixpanel-api.md, section 7.8
        """
        return numeric.segmentation_numeric(
            self.api, event, from_date=from_date, to_date=to_date, on=on, unit=unit, where=where, type=type
        )

    def segmentation_sum(
        self,
        event: str,
        *,
        from_date: str,
        to_date: str,
        on: str,
        unit: HourDayUnit = "day",
        where: str | None = None,
    ) -> NumericSumResult:
        """The sum of a number over an event, for each hour or day; what is no number counts as 0.

        Args:
            event: its name
            from_date, to_date: YYYY-MM-DD, both included, in the project's time zone
            on: a property that holds numbers, or an expression, which may calculate
            unit: hour or day
            where: an expression that events must fulfil

        Raises:
            InvalidArgumentError: a ValueError: an argument is wrong.
            APIError and its kinds: Mixpanel refuses.

        Source: reference/mixpanel-api.md, section 7.9
        """
        return numeric.segmentation_sum(
            self.api, event, from_date=from_date, to_date=to_date, on=on, unit=unit, where=where
        )

    def segmentation_average(
        self,
        event: str,
        *,
        from_date: str,
        to_date: str,
        on: str,
        unit: HourDayUnit = "day",
        where: str | None = None,
    ) -> NumericAverageResult:
        """The mean of a number over an event, for each hour or day that has one.

        Args:
            event: its name
            from_date, to_date: YYYY-MM-DD, both included, in the project's time zone
            on: a property that holds numbers, or an expression; whether events without a number count as 0 or not at
                all is Mixpanel's choice, so leave them out by `where` if it matters
            unit: hour or day
            where: an expression that events must fulfil

        Raises:
            InvalidArgumentError: a ValueError: an argument is wrong.
            APIError and its kinds: Mixpanel refuses.

        Source: reference/mixpanel-api.md, section 7.10
        """
        return numeric.segmentation_average(
            self.api, event, from_date=from_date, to_date=to_date, on=on, unit=unit, where=where
        )

    def activity_feed(
        self, distinct_ids: Sequence[str], *, from_date: str | None = None, to_date: str | None = None
    ) -> ActivityFeedResult:
        """Everything that some users did, in order of time.

        Args:
            distinct_ids: whose events
            from_date, to_date: YYYY-MM-DD, both included, in the project's time zone; None leaves them to Mixpanel

        Raises:
            InvalidArgumentError: a ValueError: no ids, or a date is wrong.
            APIError and its kinds: Mixpanel refuses.

        Source: reference/mixpanel-api.md, section 7.15
        """
        return activity.activity_feed(self.api, distinct_ids, from_date=from_date, to_date=to_date)

    def query_saved_report(self, bookmark_id: int) -> SavedReportResult:
        """What a saved report of insights, of retention or of a funnel says now.

        Args:
            bookmark_id: from `list_bookmarks`

        Raises:
            InvalidArgumentError: a ValueError: the id is no whole number.
            QueryError: there is no such report, or it is of flows: those are `query_flows`.
            APIError and its kinds: Mixpanel refuses.

        Source: reference/mixpanel-api.md, section 7.20
        """
        return reports.saved_report(self.api, bookmark_id)

    def query_flows(self, bookmark_id: int) -> FlowsResult:
        """What a saved report of flows says now.

        Args:
            bookmark_id: from `list_bookmarks("flows")`

        Raises:
            InvalidArgumentError: a ValueError: the id is no whole number.
            QueryError: there is no such report, or it is not of flows.
            APIError and its kinds: Mixpanel refuses.

        Source: reference/mixpanel-api.md, section 7.21
        """
        return reports.flows(self.api, bookmark_id)

"""What Mixpanel computes."""

from __future__ import annotations

from collections.abc import Sequence

from mixpanel_data import live
from mixpanel_data.live import EventCountsResult, SegmentationResult
from mixpanel_data.workspace.core import Core


class LiveCalls(Core):
    """Questions that Mixpanel answers itself."""

    def segmentation(
        self,
        event: str,
        *,
        from_date: str,
        to_date: str,
        on: str | None = None,
        unit: str = "day",
        where: str | None = None,
    ) -> SegmentationResult:
        """How often an event happened, over time and, with `on`, by the values of a property.

        Args:
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
        type: str = "general",  # noqa: A002 -- the public contract's own name
        unit: str = "day",
    ) -> EventCountsResult:
        """How often each of several events happened, over time.

        Args:
            from_date, to_date: YYYY-MM-DD, both included, in the project's time zone
            type: general (events), unique (users of each bucket) or average (events per user)
            unit: minute, hour, day, week or month; unique has none below a day

        Raises:
            InvalidArgumentError: a ValueError: an argument is wrong.
            APIError and its kinds: Mixpanel refuses.

        Source: reference/mixpanel-api.md, section 7.5
        """
        return live.event_counts(self.api, events, from_date=from_date, to_date=to_date, type=type, unit=unit)

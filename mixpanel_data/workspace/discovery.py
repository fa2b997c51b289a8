"""What exists in the project; asked for once, then remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from mixpanel_data import credentials as _credentials
from mixpanel_data import discovery, funnels, lexicon, reports
from mixpanel_data.api_client import MixpanelAPIClient
from mixpanel_data.workspace.core import Core

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from mixpanel_data.choices import BookmarkType, CountType, EntityType
    from mixpanel_data.discovery import SavedCohort, TopEvent
    from mixpanel_data.funnels import FunnelInfo
    from mixpanel_data.lexicon import LexiconSchema
    from mixpanel_data.reports import BookmarkInfo


class DiscoveryCalls(Core):
    """Calls that name what there is.

    What they find is remembered for an hour at most, or until `clear_discovery_cache`, but for today's top events and
    saved reports; every call returns a list of its own.
    """

    _remembered: discovery.Remembered

    def __new__(cls, *_: Any, **__: Any) -> Self:
        # However a workspace is made, it has a memory.
        made = super().__new__(cls)
        made._remembered = discovery.Remembered()
        return made

    def events(self) -> list[str]:
        """The names of the project's events, sorted; at most 5000, the most frequent ones.

        Raises:
            APIError and its kinds: Mixpanel refuses.

        Source: reference/mixpanel-api.md, section 7.1
        """
        return self._remembered.get("events", lambda: discovery.event_names(self.api))

    def properties(self, event: str) -> list[str]:
        """The names of an event's properties, sorted; Mixpanel looks at its recent events only.

        Args:
            event: its name, spelled as `events` gives it

        Returns:
            Names; none for an event that has not happened lately.

        Raises:
            InvalidArgumentError: a ValueError: the name is empty.
            EventNotFoundError: Mixpanel does not know the event; `similar_events` are at most 5 that it does.
            APIError and its kinds: Mixpanel refuses.

        Source: reference/mixpanel-api.md, section 7.2
        """
        return self._remembered.get(
            ("properties", event), lambda: discovery.property_names(self.api, event, self.events)
        )

    def property_values(self, property_name: str, *, event: str | None = None, limit: int = 100) -> list[str]:
        """The values of a property, the most frequent first; Mixpanel looks at recent events only.

        Args:
            property_name: its name, not an expression
            event: of this event only; None takes all
            limit: how many at most

        Returns:
            Texts: numbers and booleans as text, lists and objects as JSON text.

        Raises:
            InvalidArgumentError: a ValueError: a name is empty or the limit below 1.
            APIError and its kinds: Mixpanel refuses.

        Source: reference/mixpanel-api.md, section 7.3
        """
        return self._remembered.get(
            ("property_values", property_name, event, limit),
            lambda: discovery.property_values(self.api, property_name, event=event, limit=limit),
        )

    def funnels(self) -> list[FunnelInfo]:
        """The saved funnels, by name.

        Raises:
            APIError and its kinds: Mixpanel refuses.

        Source: reference/mixpanel-api.md, section 7.11
        """
        return self._remembered.get("funnels", lambda: funnels.funnels(self.api))

    def cohorts(self) -> list[SavedCohort]:
        """The saved cohorts, by name.

        Raises:
            APIError and its kinds: Mixpanel refuses.

        Source: reference/mixpanel-api.md, section 7.19
        """
        return self._remembered.get("cohorts", lambda: discovery.cohorts(self.api))

    def list_bookmarks(self, bookmark_type: BookmarkType | None = None) -> list[BookmarkInfo]:
        """The saved reports, in Mixpanel's order; asked for every time.

        Args:
            bookmark_type: insights, funnels, retention, flows or launch-analysis; None takes all

        Raises:
            InvalidArgumentError: a ValueError: another type.
            APIError and its kinds: Mixpanel refuses.

        Source: reference/mixpanel-api.md, section 9.3
        """
        return reports.bookmarks(self.api, bookmark_type)

    def top_events(
        self,
        *,
        type: CountType = "general",  # noqa: A002 -- the public contract's own name
        limit: int | None = None,
    ) -> list[TopEvent]:
        """The events of today so far, with how much they changed against yesterday; asked for every time.

        Args:
            type: general (events), unique (users) or average (events per user)
            limit: how many at most; None takes Mixpanel's 100

        Returns:
            In Mixpanel's order, as a rule the most frequent first; today is the project's.

        Raises:
            InvalidArgumentError: a ValueError: another type, or a limit below 1.
            APIError and its kinds: Mixpanel refuses.

        Source: reference/mixpanel-api.md, section 7.4
        """
        return discovery.top_events(self.api, type=type, limit=limit)

    def lexicon_schemas(self, *, entity_type: EntityType | None = None) -> list[LexiconSchema]:
        """What Lexicon says of events and profiles, by type, then by name; only of those that somebody described.

        Args:
            entity_type: event or profile; None takes both

        Raises:
            InvalidArgumentError: a ValueError: another type.
            RateLimitError: Lexicon answers 5 questions a minute.
            APIError and its kinds: Mixpanel refuses.

        Source: reference/mixpanel-api.md, section 9.4
        """
        return self._remembered.get(("lexicon_schemas", entity_type), lambda: lexicon.schemas(self.api, entity_type))

    def lexicon_schema(self, entity_type: EntityType, name: str) -> LexiconSchema:
        """What Lexicon says of one event, or of profiles.

        Args:
            entity_type: event or profile
            name: the event's name; of users' profiles `$user`

        Raises:
            InvalidArgumentError: a ValueError: another type, or an empty name.
            QueryError: status_code 404: Lexicon has no such entry.
            RateLimitError: Lexicon answers 5 questions a minute.
            APIError and its kinds: Mixpanel refuses.

        Source: reference/mixpanel-api.md, section 9.4
        """
        (found,) = self._remembered.get(
            ("lexicon_schema", entity_type, name), lambda: [lexicon.schema(self.api, entity_type, name)]
        )
        return found

    def time_zone(self) -> ZoneInfo:
        """The project's time zone, in which Mixpanel counts days; it spends nothing of the query budget.

        Raises:
            APIError and its kinds: Mixpanel refuses, or names no zone that is known here.

        Source: reference/mixpanel-api.md, section 9.1
        """
        (found,) = self._remembered.get("time_zone", lambda: [discovery.time_zone(self.api)])
        return found

    def clear_discovery_cache(self) -> None:
        """Ask Mixpanel again next time."""
        self._remembered.forget()

    @staticmethod
    def test_credentials(account: str | None = None) -> dict[str, Any]:
        """Ask Mixpanel one cheap question with the credentials that apply.

        Returns:
            success (True), account (None when from the environment), project_id, region, events_found.

        Raises:
            ConfigError, AccountNotFoundError: nothing to test.
            AuthenticationError, RateLimitError, …: what `MixpanelAPIClient.call` raises.
        """
        credentials = _credentials.resolve(account)
        with MixpanelAPIClient(credentials) as client:
            found = discovery.event_names(client)
        return {
            "success": True,
            "account": credentials.account,
            "project_id": credentials.project_id,
            "region": credentials.region,
            "events_found": len(found),
        }

"""What exists: names of events, their properties and values, today's top events, cohorts."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mixpanel_data import arguments, choices, clock
from mixpanel_data.answers import Answer
from mixpanel_data.endpoints import ENDPOINTS
from mixpanel_data.errors import EventNotFoundError, MixpanelDataError, QueryError
from mixpanel_data.results import Result

if TYPE_CHECKING:
    from mixpanel_data.api_client import MixpanelAPIClient

T = TypeVar("T")

MOST_NAMES = 5000
MOST_SIMILAR = 5
MOST_REMEMBERED = 500
REMEMBERED_S = 3600.0
EARLIEST_DAY = "2000-01-01"


@dataclass(frozen=True)
class TopEvent(Result):
    """An event of today.

    count: so far today, in the project's time zone
    percent_change: against yesterday, as a fraction: 0.25 is a quarter more
    """

    event: str
    count: int | float
    percent_change: float


@dataclass(frozen=True)
class SavedCohort(Result):
    """A cohort that somebody saved.

    count: its members when Mixpanel last counted them, 0 where it does not say
    created: as Mixpanel writes it, in UTC, with a space before the time
    """

    id: int
    name: str
    count: int
    description: str
    created: str
    is_visible: bool


def event_names(client: MixpanelAPIClient) -> list[str]:
    """Every event name of the project, sorted; at most 5000, the most frequent ones.

    Without dates the service names only the last 31 days' events, so all days are asked for. A plan with a shorter
    history refuses that and says how many days it has; those are asked for then.

    Source: reference/mixpanel-api.md, sections 7.1 and 14 (9)
    """
    asked: dict[str, Any] = {"type": "general", "limit": MOST_NAMES}
    today = clock.today()
    try:
        answer = client.call(
            ENDPOINTS["event_names"], {**asked, "from_date": EARLIEST_DAY, "to_date": today.isoformat()}
        )
    except QueryError as error:
        history = re.search(r"exceeds (\d{1,5}) days into the past", error.message)
        if error.status_code != 403 or history is None:
            raise
        first = today - timedelta(days=int(history[1]))
        answer = client.call(
            ENDPOINTS["event_names"], {**asked, "from_date": first.isoformat(), "to_date": today.isoformat()}
        )
    return sorted(set(Answer("events/names", answer).texts()))


def time_zone(client: MixpanelAPIClient) -> ZoneInfo:
    """Source: reference/mixpanel-api.md, section 9.1"""
    told = Answer("app/me", client.call(ENDPOINTS["account"], {}))
    zone = told.at("results").at("projects").at(client.project_id).at("timezone")
    try:
        return ZoneInfo(zone.text())
    except (ValueError, ZoneInfoNotFoundError, OSError):
        raise zone.wrong("the name of a time zone") from None


def property_names(client: MixpanelAPIClient, event: str, known_events: Callable[[], list[str]]) -> list[str]:
    """The names of an event's properties, sorted.

    Args:
        known_events: asked for suggestions when Mixpanel does not know the event

    Source: reference/mixpanel-api.md, sections 7.2 and 14 (10)
    """
    arguments.name("event", event)
    try:
        answer = client.call(ENDPOINTS["property_names"], {"event": event, "limit": MOST_NAMES})
    except QueryError as error:
        if error.status_code != 400:
            raise
        raise EventNotFoundError(event, _suggestions(event, known_events)) from error
    return sorted(name for name, _ in Answer("events/properties/top", answer).members())


def property_values(
    client: MixpanelAPIClient, property_name: str, *, event: str | None = None, limit: int = 100
) -> list[str]:
    """Source: reference/mixpanel-api.md, section 7.3"""
    asked = {
        "name": arguments.name("property_name", property_name),
        "event": None if event is None else arguments.name("event", event),
        "limit": arguments.whole("limit", limit, 1),
    }
    return Answer("events/properties/values", client.call(ENDPOINTS["property_values"], asked)).texts()


def top_events(
    client: MixpanelAPIClient,
    *,
    type: str = "general",  # noqa: A002 -- the public contract's own name
    limit: int | None = None,
) -> list[TopEvent]:
    """Source: reference/mixpanel-api.md, section 7.4"""
    asked = {
        "type": arguments.one_of("type", type, choices.COUNT_TYPES),
        "limit": None if limit is None else arguments.whole("limit", limit, 1),
    }
    answer = Answer("events/top", client.call(ENDPOINTS["top_events"], asked))
    return [
        TopEvent(row.at("event").text(), row.at("amount").number(), float(row.at("percent_change").number()))
        for row in answer.at("events").elements()
    ]


def cohorts(client: MixpanelAPIClient) -> list[SavedCohort]:
    """Source: reference/mixpanel-api.md, section 7.19"""
    answer = Answer("cohorts/list", client.call(ENDPOINTS["cohorts"], {}))
    found = [
        SavedCohort(
            id=row.at("id").whole(),
            name=row.at("name").text(""),
            count=row.at("count").whole(0),
            description=row.at("description").text(""),
            created=row.at("created").text(""),
            is_visible=row.at("is_visible").truth(True),
        )
        for row in answer.elements()
    ]
    return sorted(found, key=lambda cohort: (cohort.name, cohort.id))


def similar_events(event: str, known: list[str]) -> list[str]:
    """The known events that somebody may have meant, best first, at most 5.

    The same name in other letters if there is one; else names that hold it, the shortest first; else names that share
    words with it, the most first.
    """
    meant = event.strip().casefold()
    same = [name for name in known if name.casefold() == meant]
    holding = sorted((name for name in known if meant in name.casefold()), key=lambda name: (len(name), name))
    words = {name: len(_words(name) & _words(event)) for name in known}
    sharing = sorted((name for name in known if words[name]), key=lambda name: (-words[name], name))
    return (same or holding or sharing)[:MOST_SIMILAR]


def _words(name: str) -> set[str]:
    return set(re.findall(r"[^\W_]+", name.casefold()))


def _suggestions(event: str, known_events: Callable[[], list[str]]) -> list[str]:
    try:
        return similar_events(event, known_events())
    except MixpanelDataError:
        # What went wrong is that the event is unknown; that nothing can be suggested must not hide it.
        return []


@dataclass
class _Kept:
    lock: threading.Lock = field(default_factory=threading.Lock)
    answers: list[Any] | None = None
    at: float = 0.0


class Remembered:
    """Answers that were asked for lately; several threads that want the same one wait for it and share it.

    An answer is forgotten after an hour, and when MOST_REMEMBERED others were wanted since.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[Hashable, _Kept] = {}

    def get(self, question: Hashable, ask: Callable[[], list[T]]) -> list[T]:
        """The answer to a question, asked now unless it was before; each caller gets a list of its own."""
        with self._lock:
            kept = self._kept.pop(question, None) or _Kept()
            self._kept[question] = kept
            while len(self._kept) > MOST_REMEMBERED:
                del self._kept[next(iter(self._kept))]
        # What is asked while `forget` comes is kept where nobody looks any more.
        with kept.lock:
            if kept.answers is None or clock.monotonic() - kept.at >= REMEMBERED_S:
                kept.answers, kept.at = ask(), clock.monotonic()
            return cast("list[T]", list(kept.answers))

    def forget(self) -> None:
        """Ask again next time."""
        with self._lock:
            self._kept = {}

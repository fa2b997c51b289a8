"""Questions that one call puts to a project: counted, and with its event names and days put right first."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import date, timedelta, timezone, tzinfo
from functools import cache
from importlib import resources
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from typing_extensions import TypedDict

from mixpanel_data import clock
from mixpanel_data.errors import APIError, InvalidArgumentError, MixpanelDataError
from mp_mcp_server.names import nearest, same_but_for_spelling

if TYPE_CHECKING:  # the catalogue is read as data, without what a Workspace needs
    from mixpanel_data import Workspace
    from mp_mcp_server.call import Call

T = TypeVar("T")

WINDOW_DAYS = 30
# Mixpanel takes five questions of a project at once; other calls want to ask too.
_AT_ONCE = 3
_MOST_CANDIDATES = 20
_MOST_COUNTED = 60
_LONGEST_NAME = 100
# Mixpanel keeps so many characters of a value.
_LONGEST_LABEL = 255
_FIRST_YEAR, _LAST_YEAR = 2000, 2200
# Where no zone is known, a day is over when it is over everywhere.
_LAST_ZONE = timezone(-timedelta(hours=12))


class Dates(TypedDict):
    """Days as the library's parameters, YYYY-MM-DD."""

    from_date: str
    to_date: str


@dataclass(frozen=True, slots=True)
class Period:
    """Days, both included, in the project's time zone."""

    first: date
    last: date

    @property
    def from_date(self) -> str:
        """YYYY-MM-DD."""
        return self.first.isoformat()

    @property
    def to_date(self) -> str:
        """YYYY-MM-DD."""
        return self.last.isoformat()

    @property
    def dates(self) -> Dates:
        """As the library's parameters."""
        return {"from_date": self.from_date, "to_date": self.to_date}

    @property
    def told(self) -> dict[str, str]:
        """As answers say it."""
        return {"from": self.from_date, "to": self.to_date}

    @property
    def days(self) -> list[date]:
        """Each of them."""
        return [self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1)]


@dataclass(slots=True)
class Questions:
    """The questions of one call.

    used: how many requests they took, tries again included; what the library remembers takes none
    notes: what was understood otherwise than it was said
    """

    call: "Call"
    used: int = 0
    notes: list[str] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)
    _put: int = 0
    _project_zone: tzinfo | None = None
    _events: list[str] | None = None
    _asked_anew: bool = False

    def ask(self, question: "Callable[[Workspace], T]") -> T:
        """Put one question, unless nobody waits for the answer any more.

        Raises:
            MixpanelDataError: code CANCELLED; else as the library's method.
        """
        if self.call.cancelled.is_set():
            raise MixpanelDataError("the call was cancelled", "CANCELLED", fix="call again")
        with self.call.workspace.api.counted() as sent:
            try:
                return question(self.call.workspace)
            finally:
                with self._lock:
                    self.used += sent.requests
                    self._put += 1

    def ask_all(self, questions: "Sequence[Callable[[Workspace], T]]", what: str = "asked") -> list[T | Exception]:
        """Put several at once.

        Args:
            questions: in the order of the answers
            what: for the client's display of progress

        Returns:
            An answer for each, or the library's error in its place.
        """

        def one(question: "Callable[[Workspace], T]") -> T | Exception:
            try:
                return self.ask(question)
            except MixpanelDataError as error:
                return error

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            # with the context of the call's own thread, so that what ends its questions ends these
            asked = [pool.submit(copy_context().run, one, question) for question in questions]
            # told from here: the line back to the client belongs to the tool's own thread
            for done, _ in enumerate(as_completed(asked), start=1):
                self.call.progress(self._put, None, f"{what}: {done} of {len(asked)}")
            return [answer.result() for answer in asked]

    def events(self) -> list[str]:
        """The names of the project's events."""
        if self._events is None:
            self._events = self.ask(lambda workspace: workspace.events())
        return self._events

    def event(self, name: str, argument: str = "event") -> str:
        """The project's own spelling of an event's name.

        Raises:
            InvalidArgumentError: the project has no event of that name, and not exactly one but for case and spaces.
        """
        names = self.events()
        if name not in names and not self._asked_anew:
            # a server's workspace remembers names for weeks
            self.call.workspace.clear_discovery_cache()
            self._asked_anew, self._events = True, None
            names = self.events()
        if name in names:
            return name
        meant = same_but_for_spelling(name, names)
        if len(meant) != 1:
            raise _no_such(argument, name, meant or names)
        self.notes.append(f"The project has no event {name[:_LONGEST_NAME]!r}; {meant[0]!r} was taken for {argument}.")
        return meant[0]

    def busiest(self, period: Period, *, without: str | None = None, most: int = 15) -> list[str]:
        """The events that the most users do on a day, the busiest first; those that nobody did are left out."""
        names = [name for name in self.events() if name != without]
        if len(names) > _MOST_COUNTED:
            lately = {one.event for one in self.ask(lambda workspace: workspace.top_events(limit=_MOST_COUNTED))}
            names = [name for name in names if name in lately] or names[:_MOST_COUNTED]
        if not names:
            return []
        series = self.ask(lambda workspace: workspace.event_counts(names, type="unique", **period.dates)).series
        daily = {name: sum(counts.values()) for name, counts in series.items()}
        return sorted((name for name in daily if daily[name]), key=lambda name: (-daily[name], name))[:most]

    def funnel_name(self, funnel_id: int) -> str:
        """What a saved funnel is called.

        Raises:
            InvalidArgumentError: there is no such funnel; those that there are, are named.
        """
        funnels = {one.funnel_id: one.name for one in self.ask(lambda workspace: workspace.funnels())}
        if funnel_id not in funnels:
            self.call.workspace.clear_discovery_cache()
            funnels = {one.funnel_id: one.name for one in self.ask(lambda workspace: workspace.funnels())}
        if funnel_id in funnels:
            return funnels[funnel_id]
        there = ", ".join(f"{number} ({name})" for number, name in list(funnels.items())[:_MOST_CANDIDATES])
        raise InvalidArgumentError(
            "funnel_id",
            f"the project has no saved funnel {funnel_id}",
            fix=f"take one of: {there}" if there else "save a funnel in Mixpanel first",
        )

    def last_day(self) -> date:
        """The last day of the project that is over; the day that goes on now is never whole."""
        # a clock that is pinned to a day shows its last millisecond
        return (clock.now() + timedelta(seconds=1)).astimezone(self._zone()).date() - timedelta(days=1)

    def period(self, from_date: str | None, to_date: str | None, *, days: int = WINDOW_DAYS) -> Period:
        """The days asked about: by default so many whole ones until the last that is over.

        Raises:
            InvalidArgumentError: they end before they begin.
        """
        last = known_day("to_date", to_date) if to_date else None
        first = known_day("from_date", from_date) if from_date else None
        if last is None:
            whole = self.last_day()
            last = max(whole, first) if first else whole
        found = Period(first or last - timedelta(days=days - 1), last)
        if found.last < found.first:
            raise InvalidArgumentError(
                "to_date", f"{to_date} is before {found.from_date}", fix="let from_date be the earlier day"
            )
        return found

    def counts_utc_days(self) -> bool:
        """Whether the project's days are those of UTC, by which exports go."""
        return clock.now().astimezone(self._zone()).utcoffset() == timedelta(0)

    def _zone(self) -> tzinfo:
        if self._project_zone is None:
            try:
                self._project_zone = self.ask(lambda workspace: workspace.time_zone())
            except APIError:
                self._project_zone = _LAST_ZONE
        return self._project_zone


def known_day(argument: str, text: str) -> date:
    """A day that Mixpanel may know something of.

    Raises:
        InvalidArgumentError: it is too far away.

    Source: reference/mixpanel-api.md, section 5.1
    """
    day = date.fromisoformat(text)
    if not _FIRST_YEAR <= day.year < _LAST_YEAR:
        raise InvalidArgumentError(argument, f"{text} is too far away", fix=f"take a day from {_FIRST_YEAR}-01-01 on")
    return day


def host(workspace: "Workspace") -> str:
    """Mixpanel's host for the project's region; where a base URL stands in for it, the library goes there."""
    region = workspace.api.region
    return "https://mixpanel.com" if region == "us" else f"https://{region}.mixpanel.com"


def fits(label: str) -> bool:
    """Whether a segment can be asked for, and told, by its label; values that come from elsewhere may be longer."""
    return len(label) <= _LONGEST_LABEL


@cache
def script(name: str) -> str:
    """The text of one of our scripts."""
    return (resources.files("mp_mcp_server") / "scripts" / f"{name}.js").read_text("utf-8")


def _no_such(argument: str, name: str, candidates: Sequence[str]) -> InvalidArgumentError:
    near = list(dict.fromkeys([*nearest(name, candidates), *candidates]))[:_MOST_CANDIDATES]
    return InvalidArgumentError(
        argument,
        f"the project has no event {name[:_LONGEST_NAME]!r}",
        fix=f"take one of: {', '.join(repr(one) for one in near)}" if near else "send events to the project first",
    )

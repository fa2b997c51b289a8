"""How often Mixpanel may be asked: one budget for a project, spent by all clients and threads of the process.

`MP_RATE_LIMITS` says which:

    mixpanel    what Mixpanel documents (reference/mixpanel-api.md, section 12); the default
    off         nothing is counted, and nothing is remembered of a refusal
    a spec      the limits of some kinds of calls, the others having none:

        query=60/hour;5 at once, export=60/hour;3/second;100 at once

Kinds are query, jql (whose calls count as query too), export, lexicon, app. A number and a span, second, minute, hour
or day or the first letters of one, is a sliding window; a number `at once` bounds what runs at the same time.

With MP_REDIS_URL the windows are shared with other processes; what runs at once is counted in each alone.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, get_args

from mixpanel_data import clock
from mixpanel_data.endpoints import Rate
from mixpanel_data.errors import ConfigError, RateLimitError

if TYPE_CHECKING:
    from pydantic import SecretStr

    from mixpanel_data.windows import Windows

OFF, MIXPANEL = "off", "mixpanel"
PRESETS = {
    OFF: "",
    MIXPANEL: "query=60/hour;5 at once, jql=60/hour;5 at once, export=60/hour;3/second;100 at once, lexicon=5/minute",
}
SPANS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
RATES: tuple[Rate, ...] = get_args(Rate)

# A waiting thread looks up now and then, to see whether its client was closed.
LOOK_UP_S = 1.0

_WINDOW = re.compile(r"([1-9]\d{0,8}) ?(?:/|per) ?([a-z]{1,7})")
_AT_ONCE = re.compile(r"([1-9]\d{0,8})(?: at once)?")


class Window(NamedTuple):
    """At most `most` within any `seconds`."""

    most: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Limit:
    """What a project may ask of one kind of call; `at_once` is None for any number."""

    windows: tuple[Window, ...] = ()
    at_once: int | None = None


class Usage(NamedTuple):
    """How much of a budget is spent: `used` of `of` calls within the last `window_s` seconds."""

    used: int
    of: int
    window_s: int

    def __str__(self) -> str:
        span = {seconds: name for name, seconds in SPANS.items()}.get(self.window_s, f"{self.window_s} seconds")
        return f"{self.used} of {self.of} in the last {span}"


@dataclass(frozen=True, slots=True)
class Waiting:
    """How a caller waits.

    say: told how long a wait is, at most, and why, before it begins
    sleep: waits so long; raises to give up
    at_most_s: how long a caller waits altogether; a longer wait is refused at once
    """

    say: Callable[[float, str], None]
    sleep: Callable[[float], None]
    at_most_s: float


def parse(spec: str) -> dict[Rate, Limit]:
    """The limits that a text describes, as this module's text says.

    Raises:
        ConfigError: it is none of these; names the part that is wrong.
    """
    limits: dict[Rate, Limit] = {}
    for item in filter(None, (part.strip() for part in PRESETS.get(spec.strip().lower(), spec).lower().split(","))):
        name, _, text = (part.strip() for part in item.partition("="))
        rate = next((rate for rate in RATES if rate == name), None)
        parts = [" ".join(part.split()) for part in re.split("[;+]", text)]
        windows = tuple(window for window in map(_window, parts) if window)
        at_once = [int(found[1]) for found in map(_AT_ONCE.fullmatch, parts) if found]
        if rate is None or rate in limits or len(windows) + len(at_once) != len(parts) or len(at_once) > 1:
            raise ConfigError(
                f"MP_RATE_LIMITS: {item!r} is not a limit",
                details={"part": item},
                fix="set it to mixpanel, off, or something like query=60/hour;5 at once, export=60/hour;3/second, for "
                f"any of {', '.join(RATES)}, each once",
            )
        limits[rate] = Limit(windows, at_once[0] if at_once else None)
    return limits


def _window(text: str) -> Window | None:
    found = _WINDOW.fullmatch(text)
    spans = [seconds for name, seconds in SPANS.items() if found and f"{name}s".startswith(found[2])]
    return Window(int(found[1]), spans[0]) if found and spans else None


@dataclass(frozen=True, slots=True)
class _Shortage:
    """Why a call cannot begin now; wait_s is None where a call that runs must end first, which nobody can foretell."""

    rate: Rate
    why: str
    wait_s: float | None

    def as_error(self) -> RateLimitError:
        return RateLimitError(
            f"{self.why}; Mixpanel was not asked",
            retry_after=1 if self.wait_s is None else math.ceil(self.wait_s),
            details={"sent": False, "budget": self.rate},
        )


class Charge:
    """What one call spent; what the service did not count can be given back."""

    def __init__(self, give_back: Callable[[], None]) -> None:
        self._give_back: Callable[[], None] | None = give_back

    def give_back(self) -> None:
        """The request never reached the service, or was refused by it; giving back twice is giving back once."""
        undo, self._give_back = self._give_back, None
        if undo is not None:
            undo()


class Budget:
    """What a project may still ask. For any number of threads.

    Args:
        limits: as `parse` reads them
        owner: whose budget it is, as a name among those of a Redis
        redis_url: where the windows are shared; None keeps them in this process
    """

    def __init__(self, limits: Mapping[Rate, Limit], owner: str = "", redis_url: SecretStr | None = None) -> None:
        self._limits, self._owner, self._redis_url = dict(limits), owner, redis_url
        self._changed = threading.Condition()
        self._running: dict[Rate, int] = dict.fromkeys(RATES, 0)
        self._closed_until: dict[Rate, float] = {}
        self._windows: Windows | None = None

    def __repr__(self) -> str:
        return f"Budget({', '.join(self._limits) or OFF})"

    def used(self, rate: Rate) -> Usage | None:
        """How much is spent of the longest window of a kind of call; None where it has none. Asking spends nothing."""
        windows = self._limits.get(rate, Limit()).windows
        if not windows:
            return None
        longest = max(windows, key=lambda window: window.seconds)
        with self._changed:
            return Usage(self._counts().used(self._key(rate), longest), *longest)

    def wait_s(self, rate: Rate) -> float:
        """How long a call of that kind would have to wait now, those that run aside; 0.0 for not at all. Asking spends
        nothing."""
        with self._changed:
            return max((short.wait_s or 0.0 for short in self._shortages(self._counted(rate))), default=0.0)

    @contextmanager
    def spend(self, rate: Rate, waiting: Waiting) -> Iterator[Charge]:
        """One call's charge, and its place among those that run, which leaving gives back.

        Raises:
            RateLimitError: the wait would be too long; `details["sent"]` is False, and `retry_after` says how long.
        """
        names = self._counted(rate)
        give_back = self._take_when_possible(names, waiting)
        try:
            yield Charge(give_back)
        finally:
            with self._changed:
                for name in names:
                    self._running[name] -= 1
                self._changed.notify_all()

    def refused(self, rate: Rate, retry_after_s: float) -> None:
        """The service says that nothing more of that kind is to be sent for so long."""
        if rate in self._limits:
            with self._changed:
                until = clock.monotonic() + retry_after_s
                self._closed_until[rate] = max(until, self._closed_until.get(rate, until))

    def _take_when_possible(self, names: list[Rate], waiting: Waiting) -> Callable[[], None]:
        deadline = clock.monotonic() + waiting.at_most_s
        # Others let go of a place in their own time, of which a replay's clock knows nothing: looks are counted.
        looks = 0
        while isinstance(got := self._take(names), _Shortage):
            if got.wait_s is None:
                if looks * LOOK_UP_S >= waiting.at_most_s:
                    raise got.as_error()
                if not looks:
                    waiting.say(waiting.at_most_s, got.why)
                self._wait_for_a_place(names)
                looks += 1
                waiting.sleep(0)
            else:
                if got.wait_s > deadline - clock.monotonic():
                    raise got.as_error()
                waiting.say(got.wait_s, got.why)
                waiting.sleep(got.wait_s)
        return got

    def _wait_for_a_place(self, names: list[Rate]) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not any(map(self._is_full, names)), timeout=LOOK_UP_S)

    def _take(self, names: list[Rate]) -> Callable[[], None] | _Shortage:
        """All that a call needs, or nothing; what is returned gives the charge back."""
        with self._changed:
            for name in names:
                if self._is_full(name):
                    return _Shortage(name, f"{self._running[name]} {name} calls are running, as many as may", None)
            if shortages := self._shortages(names):
                return max(shortages, key=lambda shortage: shortage.wait_s or 0.0)
            taken: list[tuple[str, Window, float]] = []
            # Where another process shares a window and was faster, what a short one loses is back the soonest.
            for name, window in sorted(self._windows_of(names), key=lambda each: each[1].seconds):
                key = self._key(name)
                if not self._counts().take(key, window):
                    self._give_back(taken)
                    return _Shortage(name, self._spent(name, window), self._counts().wait_s(key, window))
                taken.append((key, window, self._counts().last_taken(key, window)))
            for name in names:
                self._running[name] += 1
        return lambda: self._give_back(taken)

    def _give_back(self, taken: list[tuple[str, Window, float]]) -> None:
        with self._changed:
            for key, window, at in taken:
                self._counts().give_back(key, window, at)
            self._changed.notify_all()

    def _shortages(self, names: list[Rate]) -> list[_Shortage]:
        now = clock.monotonic()
        closed = [(name, self._closed_until.get(name, now) - now) for name in names]
        return [
            *(
                _Shortage(name, f"Mixpanel takes no {name} calls for now", left_s)
                for name, left_s in closed
                if left_s > 0
            ),
            *(
                _Shortage(name, self._spent(name, window), wait_s)
                for name, window in self._windows_of(names)
                if (wait_s := self._counts().wait_s(self._key(name), window))
            ),
        ]

    def _is_full(self, name: Rate) -> bool:
        at_once = self._limits[name].at_once
        return at_once is not None and self._running[name] >= at_once

    def _spent(self, name: Rate, window: Window) -> str:
        used = Usage(self._counts().used(self._key(name), window), *window)
        return f"the project's budget of {name} calls is used up: {used}"

    def _windows_of(self, names: list[Rate]) -> list[tuple[Rate, Window]]:
        return [(name, window) for name in names for window in self._limits[name].windows]

    def _counted(self, rate: Rate) -> list[Rate]:
        """The limits that such a call counts against."""
        return [name for name in (("jql", "query") if rate == "jql" else (rate,)) if name in self._limits]

    def _key(self, name: Rate) -> str:
        return f"{self._owner}/{name}"

    def _counts(self) -> Windows:
        if self._windows is None:
            # What counts takes a while to import, and is for those who have a limit and call.
            from mixpanel_data.windows import Windows

            self._windows = Windows(self._redis_url)
        return self._windows


_budgets: dict[tuple[str, str, SecretStr | None], Budget] = {}
_lock = threading.Lock()


def shared(owner: str, spec: str, redis_url: SecretStr | None = None) -> Budget:
    """The one budget of that owner in this process.

    Args:
        owner: a project, and where it is asked
        spec: as `parse` reads it; another spec is another budget
        redis_url: where the windows are shared with other processes

    Raises:
        ConfigError: the spec is wrong.
    """
    limits, spec = parse(spec), spec.strip().lower()
    with _lock:
        return _budgets.setdefault((owner, spec, redis_url), Budget(limits, owner, redis_url))

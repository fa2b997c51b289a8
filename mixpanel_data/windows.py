"""How often something was done lately: sliding windows, by package `limits`, whose only home this is.

In memory they go by `clock.monotonic`, which nobody can set back, and what was not used can be given back. In Redis,
where several servers share them, they go by the wall, and what was taken stays taken.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from limits import RateLimitItemPerSecond
from limits.errors import ConfigurationError, StorageError
from limits.storage import MemoryStorage, RedisStorage, storage_from_string
from limits.strategies import MovingWindowRateLimiter

from mixpanel_data import clock
from mixpanel_data.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import SecretStr

    from mixpanel_data.budget import Window

# A request reaches the service later than it was counted here, some more so than others.
MARGIN_S = 0.1
SHORTEST_WAIT_S = 0.01


class Windows:
    """Counts what is taken, by key, within sliding spans of time. For one thread at a time.

    Args:
        redis_url: where the counts are shared; None keeps them in this process

    Raises:
        ConfigError: Redis cannot be used; each method may find out.
    """

    def __init__(self, redis_url: SecretStr | None = None) -> None:
        storage = _Memory() if redis_url is None else _redis(redis_url)
        self._memory = storage if isinstance(storage, _Memory) else None
        self._strategy = MovingWindowRateLimiter(storage)

    def used(self, key: str, window: Window) -> int:
        """How often the key was taken within the window; at most as often as the window allows."""
        with _redis_errors():
            return window.most - self._strategy.get_window_stats(_item(window), key).remaining

    def wait_s(self, key: str, window: Window) -> float:
        """How long until the key can be taken once more; 0 when it can be now."""
        with _redis_errors():
            stats = self._strategy.get_window_stats(_item(window), key)
        if stats.remaining > 0:
            return 0.0
        now = clock.epoch() if self._memory is None else clock.monotonic()
        return max(stats.reset_time + MARGIN_S - now, SHORTEST_WAIT_S)

    def take(self, key: str, window: Window) -> bool:
        """Count one more, unless the window is full."""
        with _redis_errors():
            return self._strategy.hit(_item(window), key)

    def give_back(self, key: str, window: Window, taken_at: float) -> None:
        """Undo the `take` of that time, which `last_taken` told; in Redis it stays taken."""
        if self._memory is not None:
            self._memory.forget(_item(window).key_for(key), taken_at)

    def last_taken(self, key: str, window: Window) -> float:
        """When the key was taken last."""
        return 0.0 if self._memory is None else self._memory.last(_item(window).key_for(key))


class _Memory(MemoryStorage):
    """The moving windows of `limits` on our clock: its own reads the wall's, and a replay's passes without waiting."""

    STORAGE_SCHEME = None  # type: ignore[assignment]  # as in the base's base: this one is not found by a URL

    def __init__(self) -> None:
        super().__init__()
        self._taken: dict[str, list[float]] = {}  # ascending

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Note that many more, unless there are too many."""
        if self.get_moving_window(key, limit, expiry)[1] + amount > limit:
            return False
        taken = self._taken.setdefault(key, [])
        taken += [clock.monotonic()] * amount
        del taken[:-limit]
        return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """When the oldest within the span was noted, and how many are."""
        now = clock.monotonic()
        taken = self._taken.get(key, [])[-limit:]
        first = bisect.bisect_right(taken, now - expiry - MARGIN_S)
        return (taken[first] if first < len(taken) else now), len(taken) - first

    def last(self, key: str) -> float:
        """When the key was noted last."""
        return self._taken[key][-1]

    def forget(self, key: str, taken_at: float) -> None:
        """Drop one that was noted at that time, if it is still there."""
        taken = self._taken.get(key, [])
        at = bisect.bisect_left(taken, taken_at)
        if at < len(taken) and taken[at] == taken_at:
            del taken[at]


def _item(window: Window) -> RateLimitItemPerSecond:
    return RateLimitItemPerSecond(window.most, window.seconds)


def _redis(url: SecretStr) -> RedisStorage:
    if urlsplit(url.get_secret_value()).scheme not in RedisStorage.STORAGE_SCHEME:
        raise ConfigError(
            "MP_REDIS_URL is not a URL of Redis", fix="set it to something like redis://127.0.0.1:6379, or unset it"
        )
    with _redis_errors():
        storage = storage_from_string(url.get_secret_value(), wrap_exceptions=True)
    if not isinstance(storage, RedisStorage):
        raise TypeError(f"{type(storage).__name__} is no RedisStorage")
    return storage


@contextmanager
def _redis_errors() -> Iterator[None]:
    """What `limits` says of Redis, without the URL, which may hold a password."""
    try:
        yield
    except ConfigurationError:
        what, fix = (
            "the package for it is not installed",
            "run: pip install 'mixpanel-data[redis]'; or unset MP_REDIS_URL",
        )
    except StorageError as error:
        what, fix = type(error.storage_error).__name__, "start it, correct MP_REDIS_URL, or unset it"
    else:
        return
    # Raised outside of the handlers: the frames below hold the URL.
    raise ConfigError(f"the Redis of MP_REDIS_URL cannot be used ({what})", fix=fix)

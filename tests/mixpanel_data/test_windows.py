"""Windows that several processes share: what Redis is asked, and what is said when it cannot be used.

A stand-in for its package runs what the two scripts of `limits` do, so that keys, clocks and
errors of ours are tried; a real Redis runs the scripts in test_shared_budget.py.
"""

from __future__ import annotations

import sys
import time
import types
from typing import Any

import pytest
from limits.storage import RedisStorage
from pydantic import SecretStr

from mixpanel_data import ConfigError, RateLimitError
from mixpanel_data.budget import Budget, Usage, Window, parse
from mixpanel_data.windows import Windows
from tests.mixpanel_data.test_budget import spend

URL = SecretStr("redis://:hunter2@127.0.0.1:1")


class RedisDown(Exception):  # noqa: N818  # stands for redis.RedisError
    """As the package says that nobody answers."""


class StandIn:
    """As much of `redis.Redis` as the moving windows of `limits` use; one list of times for each key."""

    def __init__(self) -> None:
        self.lists: dict[str, list[float]] = {}
        self.down = False

    def register_script(self, script: bytes) -> Any:
        if script == RedisStorage.SCRIPT_ACQUIRE_MOVING_WINDOW:
            return self._acquire
        return self._window if script == RedisStorage.SCRIPT_MOVING_WINDOW else None

    def _acquire(self, keys: list[str], arguments: list[float]) -> int | None:
        if self.down:
            raise RedisDown(f"cannot reach {URL.get_secret_value()}")
        timestamp, limit, expiry, amount = arguments
        times = self.lists.setdefault(keys[0], [])
        index = int(limit - amount)
        if index < len(times) and times[index] >= timestamp - expiry:
            return None
        times[:0] = [timestamp] * int(amount)
        del times[int(limit) :]
        return 1

    def _window(self, keys: list[str], arguments: list[float]) -> list[Any] | None:
        if self.down:
            raise RedisDown(f"cannot reach {URL.get_secret_value()}")
        since, limit = arguments
        inside = [time for time in self.lists.get(keys[0], [])[: int(limit)] if time >= since]
        return [str(inside[-1]).encode(), len(inside)] if inside else None


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in, module = StandIn(), types.ModuleType("redis")
    vars(module).update(__version__="5.0.0", RedisError=RedisDown, from_url=lambda _url, **_options: stand_in)
    monkeypatch.setitem(sys.modules, "redis", module)
    return stand_in


class Wall:
    """The wall's clock, which `limits` reads itself."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = time.time()
        monkeypatch.setattr(time, "time", lambda: self.now)


def test_two_processes_spend_one_budget(redis: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    wall = Wall(monkeypatch)
    one, other = (Budget(parse("query=3/hour"), "here/1", URL) for _ in range(2))
    stranger = Budget(parse("query=3/hour"), "here/2", URL)
    spend(one, "query", 2)
    spend(other, "query")
    assert one.used("query") == other.used("query") == Usage(3, 3, 3600)
    with pytest.raises(RateLimitError) as caught:
        spend(one, "query")
    assert caught.value.retry_after == 3601
    spend(stranger, "query")
    wall.now += 3600.2
    spend(one, "query")


def test_what_another_process_was_faster_to_take_is_waited_for(redis: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    wall = Wall(monkeypatch)
    windows = Windows(URL)
    assert windows.take("here/1/query", Window(1, 60))
    assert not windows.take("here/1/query", Window(1, 60))
    windows.give_back("here/1/query", Window(1, 60), windows.last_taken("here/1/query", Window(1, 60)))
    assert windows.used("here/1/query", Window(1, 60)) == 1, "what was taken in Redis stays taken"
    wall.now += 30
    assert windows.wait_s("here/1/query", Window(1, 60)) == pytest.approx(30, abs=0.2)


def test_a_redis_that_is_away_is_named_without_its_password(redis: StandIn) -> None:
    budget = Budget(parse("query=3/hour"), "here/1", URL)
    redis.down = True
    for ask in (lambda: budget.used("query"), lambda: budget.wait_s("query"), lambda: spend(budget, "query")):
        with pytest.raises(ConfigError, match="RedisDown") as caught:
            ask()
        assert "hunter2" not in str(caught.value.to_dict()) + repr(caught.value.__cause__)
        assert "MP_REDIS_URL" in caught.value.message


def test_without_the_package_for_redis_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigError, match="not installed") as caught:
        spend(Budget(parse("query=3/hour"), "here/1", URL), "query")
    assert "mixpanel-data[redis]" in str(caught.value.fix)
    assert "hunter2" not in str(caught.value.to_dict())


@pytest.mark.parametrize("url", ["http://127.0.0.1:6379", "localhost", "memory://", "redis"])
def test_another_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="not a URL of Redis"):
        Windows(SecretStr(url))

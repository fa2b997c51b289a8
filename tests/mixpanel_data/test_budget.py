"""The budget: what a spec says, what is counted, who waits and who is refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixpanel_data import ConfigError, Credentials, MixpanelAPIClient, RateLimitError, clock
from mixpanel_data.budget import PRESETS, RATES, Budget, Charge, Limit, Usage, Waiting, Window, parse, shared
from mixpanel_data.endpoints import Rate
from tests.support.examples import examples
from tests.support.virtual_clock import VirtualClock

HOUR = 3600
# A request is counted a little longer than the service counts it.
MARGIN_S = 0.1


@pytest.fixture
def virtual_clock(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    return VirtualClock(monkeypatch)


def quietly(at_most_s: float = 0.0) -> Waiting:
    return Waiting(lambda _seconds, _why: None, clock.sleep, at_most_s)


@contextmanager
def spending(budget: Budget, rate: Rate, at_most_s: float = 0.0) -> Iterator[Charge]:
    with budget.spend(rate, quietly(at_most_s)) as charge:
        yield charge


def spend(budget: Budget, rate: Rate, times: int = 1, at_most_s: float = 0.0) -> None:
    for _ in range(times):
        with spending(budget, rate, at_most_s):
            pass


def refusal(budget: Budget, rate: Rate, at_most_s: float = 0.0) -> RateLimitError:
    with pytest.raises(RateLimitError) as caught:
        spend(budget, rate, at_most_s=at_most_s)
    assert caught.value.details["sent"] is False
    assert "Mixpanel was not asked" in caught.value.message
    return caught.value


@pytest.mark.parametrize(
    ("spec", "limits"),
    [
        ("off", {}),
        (" query = 60/hour ; 5 at once ", {"query": Limit((Window(60, HOUR),), 5)}),
        ("export=60 per hour;3/s;100", {"export": Limit((Window(60, HOUR), Window(3, 1)), 100)}),
        ("QUERY=2/Minutes,app=1 at once", {"query": Limit((Window(2, 60),)), "app": Limit((), 1)}),
        ("lexicon=5/min+2,jql=7/d", {"lexicon": Limit((Window(5, 60),), 2), "jql": Limit((Window(7, 86400),))}),
    ],
)
def test_a_spec_says_windows_and_how_many_at_once(spec: str, limits: dict[Rate, Limit]) -> None:
    assert parse(spec) == limits


def test_the_preset_is_what_mixpanel_documents() -> None:
    """reference/mixpanel-api.md, section 12."""
    hourly = Window(60, HOUR)
    assert parse("mixpanel") == {
        "query": Limit((hourly,), 5),
        "jql": Limit((hourly,), 5),
        "export": Limit((hourly, Window(3, 1)), 100),
        "lexicon": Limit((Window(5, 60),)),
    }
    assert all(parse(spec) == parse(PRESETS[spec]) for spec in PRESETS)


@pytest.mark.parametrize(
    "spec",
    ["on", "query", "query=", "=60/hour", "query=0/hour", "query=-1/hour", "query=60/week", "query=60/hour;", "query=x",
     "queries=60/hour", "query=5;6", "query=60/hour,query=5", "query=1.5/s", "query=60//hour", "query=9999999999/hour"],
)  # fmt: skip
def test_a_bad_spec_is_named_with_what_would_be_right(spec: str) -> None:
    with pytest.raises(ConfigError, match="MP_RATE_LIMITS") as caught:
        parse(spec)
    assert "query=60/hour" in str(caught.value.fix)


def test_the_sixty_first_call_of_an_hour_is_refused_and_told_when(virtual_clock: VirtualClock) -> None:
    budget = Budget(parse("mixpanel"))
    spend(budget, "query", 20)
    virtual_clock.sleep(600)
    spend(budget, "query", 40)
    assert budget.used("query") == Usage(60, 60, HOUR)
    error = refusal(budget, "query", at_most_s=120)
    assert error.retry_after == error.retry_after_s == 3001  # the first ones are 600 s old, and seconds are whole
    assert "60 of 60 in the last hour" in error.message
    assert budget.wait_s("query") == pytest.approx(3000 + MARGIN_S)
    virtual_clock.sleep(3000 + MARGIN_S)
    spend(budget, "query", 20)
    refusal(budget, "query")


def test_a_short_wait_is_announced_and_waited_for(virtual_clock: VirtualClock) -> None:
    budget, said = Budget(parse("export=3/second")), list[tuple[float, str]]()
    waiting = Waiting(lambda seconds, why: said.append((seconds, why)), clock.sleep, at_most_s=5)
    for _ in range(4):
        with budget.spend("export", waiting):
            pass
    assert virtual_clock.slept == [pytest.approx(1 + MARGIN_S)]
    ((seconds, why),) = said
    assert seconds == virtual_clock.slept[0]
    assert "3 of 3 in the last second" in why


def test_waits_add_up_to_the_bound(virtual_clock: VirtualClock) -> None:
    budget = Budget(parse("query=1/second"))

    def sleep_while_another_is_faster(seconds: float) -> None:
        clock.sleep(seconds)
        spend(budget, "query")

    spend(budget, "query")
    with (
        pytest.raises(RateLimitError),
        budget.spend("query", Waiting(lambda *_: None, sleep_while_another_is_faster, 3.5)),
    ):
        pass
    assert sum(virtual_clock.slept) <= 3.5


def test_a_call_of_jql_counts_as_a_query_too(virtual_clock: VirtualClock) -> None:
    budget = Budget(parse("mixpanel"))
    spend(budget, "jql", 10)
    assert budget.used("query") == Usage(10, 60, HOUR) == budget.used("jql")
    spend(budget, "query", 50)
    assert budget.used("jql") == Usage(10, 60, HOUR)
    assert refusal(budget, "jql").details["budget"] == "query"


def test_kinds_without_a_limit_are_free_and_have_no_usage(virtual_clock: VirtualClock) -> None:
    for budget in (Budget(parse("off")), Budget(parse("lexicon=5/minute"))):
        spend(budget, "app", 100)
        assert budget.used("app") is None
        assert budget.wait_s("app") == 0.0


def test_what_is_given_back_was_never_spent(virtual_clock: VirtualClock) -> None:
    budget = Budget(parse("export=2/hour;2/second"))
    with spending(budget, "export") as charge:
        charge.give_back()
        charge.give_back()
    assert budget.used("export") == Usage(0, 2, HOUR)
    spend(budget, "export", 2)
    refusal(budget, "export")


def test_looking_spends_nothing(virtual_clock: VirtualClock) -> None:
    budget = Budget(parse("query=1/hour"))
    for _ in range(10):
        assert budget.used("query") == Usage(0, 1, HOUR)
        assert budget.wait_s("query") == 0.0
    spend(budget, "query")


def test_after_a_refusal_of_the_service_nothing_is_sent_until_it_said(virtual_clock: VirtualClock) -> None:
    budget = Budget(parse("mixpanel"))
    budget.refused("export", 37)
    budget.refused("export", 5)
    assert refusal(budget, "export", at_most_s=30).retry_after == 37
    spend(budget, "query")
    spend(budget, "export", at_most_s=40)
    assert virtual_clock.slept == [37]


def test_off_remembers_no_refusal(virtual_clock: VirtualClock) -> None:
    budget = Budget(parse("off"))
    budget.refused("query", 1000)
    spend(budget, "query")
    assert virtual_clock.slept == []


def test_never_more_at_once_than_may_be() -> None:
    budget = Budget(parse("query=5 at once"))
    running, most, lock = 0, 0, threading.Lock()
    all_five = threading.Barrier(5)

    def work(number: int) -> None:
        nonlocal running, most
        with spending(budget, "query", at_most_s=60):
            with lock:
                running += 1
                most = max(most, running)
            if number < 5:
                all_five.wait(timeout=60)
            with lock:
                running -= 1

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(work, range(40)))
    assert most == 5


def test_a_place_that_stays_taken_is_refused_after_the_bound_and_said_before() -> None:
    budget, said = Budget(parse("query=2 at once")), list[str]()
    with spending(budget, "query"), spending(budget, "query"):
        with (
            pytest.raises(RateLimitError) as caught,
            budget.spend("query", Waiting(lambda _s, why: said.append(why), lambda _s: None, at_most_s=0.5)),
        ):
            pass
        assert len(said) == 1
        assert "2 query calls are running" in said[0]
        assert caught.value.retry_after == 1
    spend(budget, "query")


def test_who_fails_inside_gives_its_place_back() -> None:
    budget = Budget(parse("query=1 at once"))
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), spending(budget, "query"):
            raise ZeroDivisionError
    spend(budget, "query")


def test_a_refused_call_keeps_no_place_and_spends_nothing_elsewhere(virtual_clock: VirtualClock) -> None:
    budget = Budget(parse("query=1/hour;1 at once,jql=5/hour;1 at once"))
    spend(budget, "query")
    refusal(budget, "jql")
    assert budget.used("jql") == Usage(0, 5, HOUR)
    virtual_clock.sleep(2 * HOUR)
    spend(budget, "jql")


@examples(20, 60)
@given(
    most=st.integers(1, 5),
    seconds=st.integers(1, 20),
    steps=st.lists(st.tuples(st.floats(0, 15), st.booleans()), max_size=40),
)
def test_no_window_ever_holds_more_than_it_may(
    virtual_clock: VirtualClock, most: int, seconds: int, steps: list[tuple[float, bool]]
) -> None:
    budget, sent = Budget({"query": Limit((Window(most, seconds),))}), list[float]()
    for pause, given_back in steps:
        virtual_clock.sleep(pause)
        try:
            with spending(budget, "query") as charge:
                if given_back:
                    charge.give_back()
                else:
                    sent.append(clock.monotonic())
        except RateLimitError:
            now = clock.monotonic()
            assert sum(at > now - seconds - MARGIN_S - 1e-6 for at in sent) >= most, "refused without need"
    assert all(sum(end - seconds < at <= end for at in sent) <= most for end in sent)


def test_many_threads_spend_exactly_what_there_is() -> None:
    budget, refused = Budget(parse("query=30/hour;3 at once")), list[RateLimitError]()

    def work(_number: int) -> None:
        try:
            spend(budget, "query", at_most_s=60)
        except RateLimitError as error:
            refused.append(error)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(50)))
    assert len(refused) == 20
    assert budget.used("query") == Usage(30, 30, HOUR)


def test_one_owner_has_one_budget_in_this_process() -> None:
    assert shared("here/1", "query=7/hour") is shared("here/1", " QUERY=7/hour")
    assert shared("here/1", "query=7/hour") is not shared("here/2", "query=7/hour")
    assert shared("here/1", "query=8/hour") is not shared("here/1", "query=7/hour")


def test_usage_reads_as_a_sentence() -> None:
    assert str(Usage(13, 60, HOUR)) == "13 of 60 in the last hour"
    assert str(Usage(1, 2, 90)) == "1 of 2 in the last 90 seconds"
    assert set(RATES) == {"query", "jql", "export", "lexicon", "app"}


def test_the_environment_says_the_limits_and_a_wrong_word_in_it_is_an_error_at_once(
    environment: pytest.MonkeyPatch, credentials: Credentials
) -> None:
    environment.setenv("MP_RATE_LIMITS", "query=60")
    environment.setenv("MP_API_BASE_URL", "http://127.0.0.1:1")
    with MixpanelAPIClient(credentials) as client:
        assert client.budget.used("query") is None
    environment.setenv("MP_RATE_LIMITS", "query=often")
    with pytest.raises(ConfigError, match="query=often"):
        MixpanelAPIClient(credentials)
    environment.delenv("MP_RATE_LIMITS")
    with MixpanelAPIClient(credentials) as client:
        assert client.budget.used("query") == (0, 60, HOUR), "nothing said is what Mixpanel documents"

"""What is tried again, how long is waited before, and what each try costs."""

from __future__ import annotations

import gzip
import io
import logging
import threading
from collections.abc import Callable, Iterator
from email.utils import formatdate
from typing import Any

import pytest

from mixpanel_data import (
    ConfigError,
    Credentials,
    IncompleteExportError,
    MixpanelAPIClient,
    MixpanelDataError,
    RateLimitError,
    ServerError,
    clock,
)
from mixpanel_data.endpoints import ENDPOINTS
from mixpanel_data.retry import Retries
from tests.support.ports import free_port
from tests.support.scripted_http import HANG_UP, Reply, ScriptedServer
from tests.support.virtual_clock import VirtualClock

NAMES, EXPORT = ENDPOINTS["event_names"], ENDPOINTS["export"]
GOOD = Reply(200, b"[]")
REFUSED = b'{"error": "Query rate limit exceeded"}'
WHOLE = gzip.compress(bytes(range(256)) * 200)
PACKED = {"Content-Encoding": "gzip"}


@pytest.fixture(autouse=True)
def virtual_clock(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    return VirtualClock(monkeypatch)


@pytest.fixture
def stubborn(server: ScriptedServer, credentials: Credentials) -> Iterator[MixpanelAPIClient]:
    """A client of the scripted server with the defaults of a user, but for its timeouts and a budget that is plenty."""
    limits = "query=1000/hour,export=1000/hour"
    with MixpanelAPIClient(
        credentials, base_url=server.url, timeout=10, export_timeout=10, rate_limits=limits
    ) as client:
        yield client


def ask(client: MixpanelAPIClient) -> Any:
    return client.call(NAMES, {"type": "general"})


def backoffs(slept: list[float]) -> list[int]:
    """The sleeps without their jitter, which is a tenth at most."""
    for seconds in slept:
        assert any(whole <= seconds <= whole * 1.1 for whole in (1, 2, 4, 8, 16, 32, 60)), seconds
    return [max(whole for whole in (1, 2, 4, 8, 16, 32, 60) if whole <= seconds) for seconds in slept]


@pytest.mark.parametrize("failures", [1, 2, 3])
@pytest.mark.parametrize(
    "failure", [Reply(429, REFUSED), Reply(502), Reply(503), Reply(HANG_UP), Reply(200, b'["a', missing=3)],
    ids=["429", "502", "503", "no answer", "cut"],
)  # fmt: skip
def test_what_may_pass_is_tried_again(
    stubborn: MixpanelAPIClient, server: ScriptedServer, virtual_clock: VirtualClock, failure: Reply, failures: int
) -> None:
    server.say(*[failure] * failures, GOOD)
    assert ask(stubborn) == []
    assert len(server.received) == failures + 1
    assert backoffs(virtual_clock.slept) == [1, 2, 4][:failures]


@pytest.mark.parametrize(
    ("failure", "kind"),
    [(Reply(429, REFUSED), RateLimitError), (Reply(503), ServerError), (Reply(HANG_UP), MixpanelDataError)],
)
def test_after_four_tries_it_is_an_error_and_the_next_call_has_four_again(
    stubborn: MixpanelAPIClient, server: ScriptedServer, failure: Reply, kind: type[Exception]
) -> None:
    server.say(failure)
    for calls in (1, 2):
        with pytest.raises(kind):
            ask(stubborn)
        assert len(server.received) == 4 * calls


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 412, 500, 504])
def test_what_will_not_pass_is_asked_once(
    stubborn: MixpanelAPIClient, server: ScriptedServer, virtual_clock: VirtualClock, status: int
) -> None:
    server.say(Reply(status, b'{"error": "no"}'))
    with pytest.raises(MixpanelDataError):
        ask(stubborn)
    assert len(server.received) == 1
    assert virtual_clock.slept == []


def test_an_answer_that_takes_too_long_is_not_waited_for_twice(
    server: ScriptedServer, credentials: Credentials
) -> None:
    server.say(Reply(200, b"[", missing=1, stalls_s=5))
    with MixpanelAPIClient(credentials, base_url=server.url, timeout=0.2) as client:
        with pytest.raises(MixpanelDataError, match="ReadTimeout") as caught:
            ask(client)
        assert caught.value.details["transient"] is False
        assert "MP_TIMEOUT_S" in str(caught.value.fix)
    assert len(server.received) == 1


def test_how_long_is_waited_is_a_setting(
    server: ScriptedServer, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MP_TIMEOUT_S", "0.2")
    server.say(Reply(200, b"[", missing=1, stalls_s=5))
    with MixpanelAPIClient(credentials, base_url=server.url) as client, pytest.raises(MixpanelDataError, match="ReadT"):
        ask(client)
    for wrong in ("soon", "0", "-1", "nan", "86401"):
        monkeypatch.setenv("MP_TIMEOUT_S", wrong)
        with pytest.raises(ConfigError, match="MP_TIMEOUT_S is not a number of seconds"):
            MixpanelAPIClient(credentials, base_url=server.url)


def test_nobody_at_the_address_is_told_at_once_until_somebody_was_there(
    credentials: Credentials, server: ScriptedServer, virtual_clock: VirtualClock
) -> None:
    with MixpanelAPIClient(credentials, base_url=f"http://127.0.0.1:{free_port()}") as client:
        with pytest.raises(MixpanelDataError, match="no answer"):
            ask(client)
        assert virtual_clock.slept == []
        # The same client, once it has had an answer: now it is a hiccup.
        client._answered = True
        with pytest.raises(MixpanelDataError, match="no answer"):
            ask(client)
        assert backoffs(virtual_clock.slept) == [1, 2, 4]


def dated(seconds: float) -> Callable[[], dict[str, str]]:
    """A Retry-After of that many seconds from the server's now."""
    return lambda: {
        "Retry-After": formatdate(1_800_000_000 + seconds, usegmt=True),
        "Date": formatdate(1_800_000_000, usegmt=True),
    }


@pytest.mark.parametrize(
    ("headers", "slept"),
    [
        (lambda: {"Retry-After": "37"}, [37]),
        (lambda: {"Retry-After": " 7 "}, [7]),
        (dated(60), [60]),
        (lambda: {"Retry-After": formatdate(clock.epoch() + 20, usegmt=True)}, [20]),
        (dict, "own schedule"),
        (lambda: {"Retry-After": "soon"}, "own schedule"),
        (lambda: {"Retry-After": "-5"}, "own schedule"),
        (lambda: {"Retry-After": "1.5"}, "own schedule"),
        (lambda: {"Retry-After": "²"}, "own schedule"),
        (lambda: {"Retry-After": "0"}, "own schedule"),
        (dated(-3600), "own schedule"),
        (lambda: {"Retry-After": "Sun, 99 Jun 2025 10:01:00 GMT"}, "own schedule"),
    ],
    ids=[
        "seconds",
        "spaces",
        "date",
        "date alone",
        "absent",
        "word",
        "negative",
        "fraction",
        "digit?",
        "0",
        "past",
        "99",
    ],
)
def test_the_wait_is_what_retry_after_says_where_that_makes_sense(
    stubborn: MixpanelAPIClient,
    server: ScriptedServer,
    virtual_clock: VirtualClock,
    headers: Callable[[], dict[str, str]],
    slept: list[float] | str,
) -> None:
    server.say(Reply(429, REFUSED, headers()), GOOD)
    assert ask(stubborn) == []
    if isinstance(slept, str):
        assert backoffs(virtual_clock.slept) == [1]
    else:
        # What is left of the refusal when its wait is over is a moment of real time at most.
        assert virtual_clock.slept == slept


@pytest.mark.parametrize("headers", [{"Retry-After": "9e9"}, {"Retry-After": "9" * 5000}, dated(9e9)(), dated(121)()])
def test_an_absurd_or_long_retry_after_is_bounded(
    stubborn: MixpanelAPIClient, server: ScriptedServer, virtual_clock: VirtualClock, headers: dict[str, str]
) -> None:
    server.say(Reply(429, REFUSED, headers), GOOD)
    if headers["Retry-After"] == "9e9":
        assert ask(stubborn) == []
        assert backoffs(virtual_clock.slept) == [1]
        return
    with pytest.raises(RateLimitError) as caught:
        ask(stubborn)
    assert caught.value.retry_after in {121, 3600}
    assert virtual_clock.slept == []
    assert len(server.received) == 1
    # And nobody else is sent there meanwhile.
    with pytest.raises(RateLimitError, match="Mixpanel was not asked"):
        ask(stubborn)
    assert len(server.received) == 1


def test_a_server_that_is_away_says_for_how_long(
    stubborn: MixpanelAPIClient, server: ScriptedServer, virtual_clock: VirtualClock
) -> None:
    server.say(Reply(503, b"", {"Retry-After": "11"}), GOOD)
    assert ask(stubborn) == []
    assert virtual_clock.slept == [11]


def test_no_backoff_is_longer_than_a_minute_and_a_tenth(
    server: ScriptedServer, credentials: Credentials, virtual_clock: VirtualClock
) -> None:
    server.say(Reply(503))
    with MixpanelAPIClient(credentials, base_url=server.url, max_retries=8) as client, pytest.raises(ServerError):
        ask(client)
    assert backoffs(virtual_clock.slept) == [1, 2, 4, 8, 16, 32, 60, 60]
    assert len({seconds - int(seconds) for seconds in virtual_clock.slept}) > 1, "nothing spreads the waits"


def test_max_retries_0_asks_once_and_a_negative_one_is_refused(
    server: ScriptedServer, credentials: Credentials
) -> None:
    server.say(Reply(503))
    with MixpanelAPIClient(credentials, base_url=server.url, max_retries=0) as client, pytest.raises(ServerError):
        ask(client)
    assert len(server.received) == 1
    with pytest.raises(ValueError, match="max_retries"):
        MixpanelAPIClient(credentials, max_retries=-1)


def test_every_wait_is_told_before_it_begins(
    stubborn: MixpanelAPIClient, server: ScriptedServer, virtual_clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    told = list[tuple[float, str, int]]()
    stubborn.on_wait = lambda seconds, why: told.append((seconds, why, len(virtual_clock.slept)))
    server.say(Reply(429, REFUSED, {"Retry-After": "3"}), Reply(502), GOOD)
    with caplog.at_level(logging.INFO, "mixpanel_data"):
        ask(stubborn)
    assert [seconds for seconds, _, _ in told] == virtual_clock.slept
    assert [before for _, _, before in told] == [0, 1]
    assert "Query rate limit exceeded" in told[0][1]
    assert "try 2 of 4" in told[0][1]
    assert "HTTP 502" in told[1][1]
    assert [record.levelno for record in caplog.records if record.name == "mixpanel_data"] == [logging.INFO] * 2


def test_a_wait_that_nobody_is_told_of_is_a_warning(
    stubborn: MixpanelAPIClient, server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.say(Reply(429, REFUSED, {"Retry-After": "3"}), GOOD)
    ask(stubborn)
    (record,) = (record for record in caplog.records if record.name == "mixpanel_data")
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("waiting 3.0 s: rate limited: Query rate limit exceeded")


def test_closing_the_client_ends_a_wait(
    stubborn: MixpanelAPIClient, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asleep = threading.Event()

    def sleep(seconds: float, interrupt: threading.Event | None = None) -> None:
        assert interrupt is not None
        asleep.set()
        assert interrupt.wait(60)

    monkeypatch.setattr(clock, "sleep", sleep)
    server.say(Reply(429, REFUSED, {"Retry-After": "100"}))
    ended = list[BaseException]()

    def work() -> None:
        with pytest.raises(MixpanelDataError, match="closed while") as caught:
            ask(stubborn)
        ended.append(caught.value)

    thread = threading.Thread(target=work)
    thread.start()
    assert asleep.wait(60)
    stubborn.close()
    thread.join(60)
    assert ended
    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("replies", "spent"),
    [
        ([GOOD], 1),
        ([Reply(429, REFUSED), Reply(429, REFUSED), GOOD], 1),
        ([Reply(429, REFUSED)], 0),
        ([Reply(503), GOOD], 2),
        ([Reply(HANG_UP), GOOD], 2),
        ([Reply(400, b"no")], 1),
    ],
    ids=["good", "refused, then good", "refused", "503, then good", "no answer, then good", "a wrong question"],
)
def test_only_what_mixpanel_may_have_counted_is_charged(
    server: ScriptedServer, credentials: Credentials, replies: list[Reply], spent: int
) -> None:
    server.say(*replies)
    with MixpanelAPIClient(credentials, base_url=server.url, rate_limits="query=9/hour") as client:
        try:
            ask(client)
        except MixpanelDataError:
            assert replies[-1] is not GOOD
        usage = client.budget.used("query")
        assert usage is not None
        assert usage.used == spent


def test_what_was_never_sent_is_not_charged(credentials: Credentials) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with MixpanelAPIClient(credentials, base_url=url, rate_limits="query=9/hour") as client:
        with pytest.raises(MixpanelDataError):
            ask(client)
        assert client.budget.used("query") == (0, 9, 3600)


@pytest.mark.parametrize(
    "broken",
    [
        Reply(200, WHOLE[:-300], PACKED, missing=300),
        Reply(200, WHOLE[:-300], PACKED),
        Reply(200, WHOLE[:-8] + b"\0" * 8, PACKED),
        Reply(503),
        Reply(429, REFUSED),
        Reply(HANG_UP),
    ],
    ids=["cut", "cut gzip", "damaged", "503", "429", "no answer"],
)
@pytest.mark.parametrize("plain", [False, True])
def test_a_download_that_is_begun_anew_holds_nothing_of_the_attempts_before(
    stubborn: MixpanelAPIClient, server: ScriptedServer, broken: Reply, plain: bool
) -> None:
    server.say(broken, broken, Reply(200, WHOLE, PACKED))
    target = io.BytesIO(b"before")
    target.seek(0, io.SEEK_END)
    got = stubborn.download(EXPORT, {}, target, plain=plain)
    assert target.getvalue() == b"before" + (gzip.decompress(WHOLE) if plain else WHOLE)
    assert got.bytes_received == len(WHOLE)
    assert len(server.received) == 3


def test_of_a_longer_attempt_before_nothing_is_left_behind_the_end(
    stubborn: MixpanelAPIClient, server: ScriptedServer
) -> None:
    server.say(Reply(200, b"x" * 9000, missing=1), Reply(200, b"short"))
    target = io.BytesIO()
    stubborn.download(EXPORT, {}, target)
    assert target.getvalue() == b"short"


def test_what_our_own_budget_refuses_is_not_tried_again(virtual_clock: VirtualClock) -> None:
    tries = list[int]()

    def attempt() -> None:
        tries.append(1)
        raise RateLimitError(retry_after=1, details={"sent": False})

    with pytest.raises(RateLimitError):
        Retries(3, 120).run(attempt, reads=True, pause=lambda seconds, _why: clock.sleep(seconds))
    assert (len(tries), virtual_clock.slept) == (1, [])


def test_a_download_that_stays_broken_is_an_error(stubborn: MixpanelAPIClient, server: ScriptedServer) -> None:
    server.say(Reply(200, WHOLE[:-300], PACKED))
    with pytest.raises(IncompleteExportError):
        stubborn.download(EXPORT, {}, io.BytesIO())
    assert len(server.received) == 4


def test_a_target_that_cannot_be_cut_back_is_written_once(stubborn: MixpanelAPIClient, server: ScriptedServer) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    server.say(Reply(200, WHOLE[:-300], PACKED), Reply(200, WHOLE, PACKED))
    with pytest.raises(IncompleteExportError):
        stubborn.download(EXPORT, {}, Pipe())
    assert len(server.received) == 1

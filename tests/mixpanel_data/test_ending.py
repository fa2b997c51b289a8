"""Questions that somebody else ends: waits end at once, and a request under way is dropped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from mixpanel_data import Credentials, MixpanelAPIClient, MixpanelDataError, Workspace
from mixpanel_data.endpoints import ENDPOINTS
from mixpanel_data.interrupts import Ending, endable
from mixpanel_data.wires import Wires
from tests.support.mute_server import DEADLINE_S, MuteServer, mute_server
from tests.support.scripted_http import Reply, scripted_server

EVENTS = b'["Sign Up"]'
ACCOUNT = Credentials.model_validate({"username": "u", "secret": "s3cret-canary", "project_id": "1", "region": "us"})


@pytest.fixture
def mute() -> Iterator[MuteServer]:
    with mute_server() as server:
        yield server


@contextmanager
def client_at(url: str, **more: Any) -> Iterator[MixpanelAPIClient]:
    """A client that would wait much longer than any test."""
    with MixpanelAPIClient(ACCOUNT, base_url=url, timeout=600, **{"rate_limits": "off", **more}) as client:
        yield client


def ask(client: MixpanelAPIClient) -> Any:
    return client.call(ENDPOINTS["event_names"], {"type": "general"})


class Asking:
    """A question in a thread of its own, and what comes of it."""

    def __init__(self, question: Callable[[], Any]) -> None:
        self.ending = Ending()
        self.outcome: list[Any] = []
        self._question = question
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            with endable(self.ending):
                self.outcome.append(self._question())
        except MixpanelDataError as error:
            self.outcome.append(error)

    def end(self) -> Any:
        self.ending.press()
        return self.came()

    def came(self) -> Any:
        """What came of it, which is not long in coming."""
        self._thread.join(DEADLINE_S)
        (outcome,) = self.outcome
        return outcome

    def is_cancelled(self) -> bool:
        error = self.end()
        return isinstance(error, MixpanelDataError) and error.code == "CANCELLED"


@pytest.mark.parametrize("answered_before", [0, 1], ids=["new connection", "connection used before"])
def test_a_request_under_way_is_dropped_and_not_sent_again(mute: MuteServer, answered_before: int) -> None:
    with client_at(mute.url) as client:
        mute.say(*[EVENTS] * answered_before)
        for _ in range(answered_before):
            assert ask(client) == ["Sign Up"]
        asking = Asking(lambda: ask(client))
        mute.until(asked=answered_before + 1)
        assert asking.is_cancelled()
        mute.until(hung_up=1)
        assert mute.asked == answered_before + 1
        mute.say(EVENTS)
        assert ask(client) == ["Sign Up"]


class Late(httpx.HTTPTransport):
    """A network on which somebody gives up before the connection is made."""

    give_up: Callable[[], None]

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.give_up()
        return super().handle_request(request)


def test_who_gives_up_before_there_is_a_connection_is_rid_of_it_when_it_is_there(mute: MuteServer) -> None:
    transport, begin = Late(), threading.Event()
    with client_at(mute.url, transport=transport) as client:

        def question() -> Any:
            assert begin.wait(DEADLINE_S)
            return ask(client)

        asking = Asking(question)
        transport.give_up = asking.ending.press
        begin.set()
        error = asking.came()
        assert isinstance(error, MixpanelDataError)
        assert error.code == "CANCELLED"


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    with scripted_server() as server, client_at(server.url) as client:
        server.say(Reply(body=b"[", missing=9, stalls_s=DEADLINE_S * 2))
        asking = Asking(lambda: ask(client))
        while not server.received:
            threading.Event().wait(0.01)
        assert asking.is_cancelled()
        assert len(server.received) == 1


REFUSALS = {
    "what Retry-After says": Reply(429, b"{}", {"Retry-After": "100"}),
    "between two tries": Reply(503, b"{}", {"Retry-After": "100"}),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_wait_for_the_next_try_ends(case: str) -> None:
    waits = threading.Event()
    with (
        scripted_server() as server,
        client_at(server.url, on_wait=lambda seconds, _why: waits.set() if seconds > 90 else None) as client,
    ):
        server.say(REFUSALS[case])
        asking = Asking(lambda: ask(client))
        assert waits.wait(DEADLINE_S)
        assert asking.is_cancelled()
        assert len(server.received) == 1


@pytest.mark.parametrize(("how", "said"), [("ended", "cancelled"), ("closed", "closed while a call waited")])
def test_who_gives_up_between_two_tries_does_not_pay_for_the_next_one(how: str, said: str) -> None:
    waits = threading.Event()
    with (
        scripted_server() as server,
        client_at(server.url, rate_limits="query=59/hour", on_wait=lambda *_: waits.set()) as client,
    ):
        # the budget is one for all clients of the process that ever asked there
        before = client.budget.used("query")
        server.say(Reply(503, b"{}", {"Retry-After": "100"}))
        asking = Asking(lambda: ask(client))
        assert waits.wait(DEADLINE_S)
        if how == "closed":
            client.close()
        error = asking.came() if how == "closed" else asking.end()
        assert isinstance(error, MixpanelDataError)
        assert said in str(error)
        after = client.budget.used("query")
        assert before is not None
        assert after is not None
        assert (after.used - before.used, len(server.received)) == (1, 1)


@pytest.mark.parametrize("limits", ["query=1/hour", "query=1 at once"])
def test_a_wait_for_the_budget_ends_and_spends_nothing(mute: MuteServer, limits: str) -> None:
    waits = threading.Event()
    with client_at(mute.url, rate_limits=limits, max_wait_s=4000, on_wait=lambda _seconds, _why: waits.set()) as client:
        first = Asking(lambda: ask(client))
        mute.until(asked=1)
        second = Asking(lambda: ask(client))
        assert waits.wait(DEADLINE_S)
        assert second.is_cancelled()
        assert mute.asked == 1
        assert first.is_cancelled()


def test_who_ends_one_question_ends_no_other(mute: MuteServer) -> None:
    with client_at(mute.url) as client:
        one = Asking(lambda: ask(client))
        mute.until(asked=1)
        other = Asking(lambda: ask(client))
        mute.until(asked=2)
        assert one.is_cancelled()
        mute.until(hung_up=1)
        assert (mute.hung_up, other.outcome) == (1, [])
        assert other.is_cancelled()


def test_what_is_ended_gives_back_its_place(mute: MuteServer) -> None:
    with client_at(mute.url, rate_limits="query=5 at once") as client:
        for round_ in range(1, 5):
            asking = [Asking(lambda: ask(client)) for _ in range(5)]
            mute.until(asked=5 * round_)
            assert all(one.is_cancelled() for one in asking)
        mute.until(hung_up=20)
        mute.say(EVENTS)
        assert ask(client) == ["Sign Up"]


def test_what_was_ended_before_it_began_asks_nothing(mute: MuteServer) -> None:
    began = threading.Event()
    with client_at(mute.url) as client:

        def late() -> Any:
            assert began.wait(DEADLINE_S)
            return ask(client)

        asking = Asking(late)
        asking.ending.press()
        began.set()
        assert asking.is_cancelled()
    assert mute.asked == 0


def test_work_whose_end_came_first_is_not_begun() -> None:
    ending, begun = Ending(), list[bool]()
    ending.press()
    with pytest.raises(MixpanelDataError) as caught, endable(ending):
        begun.append(True)
    assert (caught.value.code, begun) == ("CANCELLED", [])


def test_an_answer_that_came_is_not_taken_away(mute: MuteServer) -> None:
    with client_at(mute.url) as client:
        mute.say(EVENTS)
        asking = Asking(lambda: ask(client))
        assert asking.came() == ["Sign Up"]
        assert asking.end() == ["Sign Up"]
        mute.say(EVENTS)
        assert ask(client) == ["Sign Up"]


def test_closing_the_client_drops_what_is_under_way(mute: MuteServer) -> None:
    with client_at(mute.url) as client:
        asking = Asking(lambda: ask(client))
        mute.until(asked=1)
        client.close()
        mute.until(hung_up=1)
        error = asking.came()
        assert isinstance(error, MixpanelDataError)
        assert error.code != "CANCELLED"
        with pytest.raises(MixpanelDataError, match="is closed"):
            ask(client)
    assert mute.asked == 1


@pytest.mark.parametrize("how", [{}, {"parallel": True, "chunk_days": 1}], ids=["one", "pieces"])
def test_a_fetch_that_is_cancelled_drops_its_exports(mute: MuteServer, tmp_path: Path, how: dict[str, Any]) -> None:
    cancelled = threading.Event()
    with client_at(mute.url, max_retries=0) as client, Workspace(path=tmp_path / "t.db", _api_client=client) as there:
        days: dict[str, Any] = {"from_date": "2025-06-01", "to_date": "2025-06-02"}
        fetch = partial(there.fetch_events, "t", progress=False, cancelled=cancelled.is_set, **days, **how)
        asking = Asking(fetch)
        mute.until(asked=1)
        cancelled.set()
        error = asking.came()
        assert isinstance(error, MixpanelDataError)
        assert error.code == "CANCELLED"
        mute.until(hung_up=mute.asked)
    assert list(tmp_path.glob("t*")) == []


def test_of_idle_connections_few_are_kept() -> None:
    made: list[httpx.Client] = []

    def connect() -> httpx.Client:
        made.append(httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200))))
        return made[-1]

    wires = Wires(connect, most_idle=2)
    for at_once in (5, 2):
        with ExitStack() as stack:
            for _ in range(at_once):
                stack.enter_context(wires.one())
        assert (len(made), [http.is_closed for http in made].count(False)) == (5, 2)
    wires.close()
    assert all(http.is_closed for http in made)


def test_a_connection_is_used_again(mute: MuteServer) -> None:
    """One at a time they need one; as many at once as there are questions."""
    mute.say(*[EVENTS] * 8)
    with client_at(mute.url) as client:
        for _ in range(8):
            ask(client)
        asking = Asking(lambda: ask(client))
        mute.until(asked=9)
        assert asking.is_cancelled()
    assert mute.connections == 1

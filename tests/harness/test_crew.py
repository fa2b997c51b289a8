"""Jobs side by side: their order, their failures, and a Ctrl-C meanwhile."""

import _thread
import queue
import sys
import threading

import pytest

from harness.stack.crew import Crew
from tests.support.standin import PATIENCE_S, wait_until


def test_each_job_begins_when_those_that_it_waits_for_are_done() -> None:
    done: list[str] = []
    jobs = {name: (lambda name=name: done.append(name)) for name in ("last", "first", "middle")}
    crew = Crew(jobs, {"last": ["middle"], "middle": ["first", "nobody's"]})
    crew.run()
    crew.join()
    assert done == ["first", "middle", "last"]


def test_the_first_failure_is_raised_and_what_waits_for_it_never_begins() -> None:
    begun: list[str] = []

    def fail() -> None:
        raise ValueError("on purpose")

    crew = Crew({"after": lambda: begun.append("after"), "fails": fail}, {"after": ["fails"]})
    with pytest.raises(ValueError, match="on purpose"):
        crew.run()
    crew.join()
    assert crew.stopped
    assert begun == []


class GivingUpError(Exception):
    """What a job raises that gives up since another one has failed."""


class FailureComesLate(queue.SimpleQueue[BaseException | None]):
    """How jobs ended, the failure that ended them all behind the rest."""

    def __init__(self) -> None:
        self.others = threading.Event()

    def put(self, item: BaseException | None, block: bool = True, timeout: float | None = None) -> None:
        if isinstance(item, ValueError):
            assert self.others.wait(PATIENCE_S)
        super().put(item, block, timeout)
        self.others.set()


def test_the_failure_is_raised_and_not_what_another_job_raises_that_gives_up_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at_work = threading.Event()

    def fail() -> None:
        assert at_work.wait(PATIENCE_S)
        raise ValueError("on purpose")

    def give_up() -> None:
        at_work.set()
        wait_until(lambda: crew.stopped, "the other one's failure")
        raise GivingUpError

    crew = Crew({"fails": fail, "gives up": give_up}, {})
    monkeypatch.setattr(crew, "_ended", FailureComesLate())
    with pytest.raises(ValueError, match="on purpose"):
        crew.run()
    crew.join()


def test_an_interrupt_is_heard_that_comes_just_before_the_wait() -> None:
    main, heard = threading.main_thread(), threading.Event()
    ended: list[bool] = []

    def long() -> None:
        wait_until(lambda: sys._current_frames()[main.ident or 0].f_code.co_name == "_next", "somebody waits")
        # Noted, as a signal is that comes in that moment, and nobody is woken.
        _thread.interrupt_main()
        ended.append(heard.wait(PATIENCE_S))

    crew = Crew({"long": long}, {})
    with pytest.raises(KeyboardInterrupt):
        crew.run()
    heard.set()
    crew.join()
    assert ended == [True], "before the job was over"

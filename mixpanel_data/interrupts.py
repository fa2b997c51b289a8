"""Ctrl-C in a long call: its work ends between two steps, never in the middle of one.

An interrupt is raised wherever the main thread happens to be: in the engine, where it becomes another error; in the
cleaning up, where it leaves half of that undone; and a thread that is in the engine when the interpreter ends takes the
process along. So the work is done in a thread of its own, and the caller only waits. When the wait is interrupted, the
work is told to end, and is over before the interrupt leaves the call. Calls from other threads than the main one, which
nothing interrupts, do their work themselves; unless they may be cancelled, which ends them in the same way.
"""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from mixpanel_data import clock
from mixpanel_data.errors import MixpanelDataError

T = TypeVar("T")

# The engine hears of it between two vectors of rows; what cannot be left, a commit, is soon over.
LONGEST_END_S = 60.0
# A thread that waits for a byte has its connection shut under it; while one is being made, it ends with that.
DOWNLOAD_END_S = 1.0
_PRESS_S = 0.05
# How often a caller that waits looks up, and whoever may cancel is asked.
_LOOK_S = 0.1


class Ended(Exception):  # noqa: N818 -- no error: nobody waits for the work any more
    """Raised inside of work that was told to end."""


class Ending:
    """The end of one call's work, as those who do it hear of it.

    over: done when the work is to end
    """

    def __init__(self, desk: queue.SimpleQueue[Callable[[], None] | None] | None = None) -> None:
        self.over: Future[Any] = Future()
        self._desk = desk
        self._lock = threading.Lock()
        self._heard: list[Callable[[], None]] = []

    def check(self) -> None:
        """Raise Ended if it is over."""
        if self.over.done():
            raise Ended

    @contextmanager
    def heard_by(self, end: Callable[[], None]) -> Iterator[None]:
        """For the length of a `with`, have `end` called, again and again, once it is over; then Ended is raised here.

        What cleans up stands outside, so that it is not ended too.
        """
        with self._lock:
            self._heard.append(end)
        try:
            self.check()
            yield
        except Exception:
            self.check()
            raise
        finally:
            with self._lock:
                self._heard.remove(end)

    def apart(self, call: Callable[[], T]) -> T:
        """What the call gives, which waits for somebody else's bytes; it is left alone when it does not end in time."""
        if self._desk is None:
            return call()
        done = begin(call)
        if self.over in wait({done, self.over}, return_when=FIRST_COMPLETED).done:
            wait({done}, timeout=DOWNLOAD_END_S)
            raise Ended
        return done.result()

    def in_caller(self, call: Callable[[], None]) -> None:
        """Do it in the thread of the caller, whose function it is."""
        if self._desk is None:
            call()
            return
        answer: Future[None] = Future()
        self._desk.put(lambda: _settle(answer, call))
        wait({answer, self.over}, return_when=FIRST_COMPLETED)
        self.check()
        answer.result()

    def press(self) -> None:
        """Have it be over, and tell all who hear of it."""
        if not self.over.done():
            self.over.set_result(None)
        with self._lock:
            for end in self._heard:
                end()


@contextmanager
def under(ending: Ending) -> Iterator[None]:
    """For the length of a `with`, let `ending.press()`, from any thread, raise Ended in what this thread waits for.

    So in the threads that it begins with a copy of its context.
    """
    token = _current.set(ending)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def endable(ending: Ending) -> Iterator[None]:
    """As `under`, for those who know nothing of Ended.

    Raises:
        MixpanelDataError: code CANCELLED: it was pressed before all was done.
    """
    try:
        with under(ending):
            ending.check()
            yield
    except Ended:
        pass
    else:
        return
    # Raised outside of the handler: where it was ended says nothing.
    raise _CancelledError


_NEVER = Ending()
_current: contextvars.ContextVar[Ending] = contextvars.ContextVar("ending", default=_NEVER)


def current() -> Ending:
    """The end of the work that this thread does."""
    return _current.get()


def begin(call: Callable[[], T]) -> Future[T]:
    """Begin the call in a thread that holds nobody up, not even the end of the process."""
    result: Future[T] = Future()
    context = contextvars.copy_context()
    threading.Thread(target=lambda: context.run(_settle, result, call), daemon=True).start()
    return result


NOTHING_STORED = "nothing was stored yet; the same call fetches it"


def guarded(
    work: Callable[[], T], *, noted: str | None = NOTHING_STORED, cancelled: Callable[[], bool] | None = None
) -> T:
    """What the work gives.

    Args:
        noted: what an interrupt says where the work says nothing of its own
        cancelled: asked a few times a second whether the work is to end

    Raises:
        KeyboardInterrupt, or what else is raised in a caller that waits: when the work is over, with its notes.
        MixpanelDataError: code CANCELLED: it was cancelled, and is not all done; with the same notes.
        Whatever the work raises.
    """
    if cancelled is None and threading.current_thread() is not threading.main_thread():
        return work()
    desk: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
    ending, outcome, go = Ending(desk), Future[T](), threading.Event()

    def do() -> None:
        _current.set(ending)
        # An interrupt may come while the thread is being started; then nothing is begun.
        go.wait()
        try:
            if ending.over.done():
                outcome.set_exception(Ended())
            else:
                _settle(outcome, work)
        finally:
            desk.put(None)

    context = contextvars.copy_context()
    thread = threading.Thread(target=lambda: context.run(do), name="work", daemon=True)
    try:
        thread.start()
        go.set()
        while (call := _next(desk, cancelled)) is not None:
            call()
    except BaseException as error:
        _end(ending, go, thread, outcome)
        if isinstance(error, _CancelledError) and outcome.done() and not outcome.exception():
            return outcome.result()
        for note in _notes(outcome, noted):
            error.add_note(note)
        raise
    thread.join()
    return outcome.result()


class _CancelledError(MixpanelDataError):
    """Nobody waits for the work any more."""

    default_code = "CANCELLED"

    def __init__(self) -> None:
        super().__init__("the call was cancelled", fix="call again")


def _next(
    desk: queue.SimpleQueue[Callable[[], None] | None], cancelled: Callable[[], bool] | None
) -> Callable[[], None] | None:
    """What the caller has to do next; None when the work is over."""
    while True:
        if cancelled is not None and cancelled():
            raise _CancelledError
        # An interrupt that comes just before a wait begins is raised when the wait is over: none may be long.
        with suppress(queue.Empty):
            return desk.get(timeout=_LOOK_S)


@contextmanager
def plain() -> Iterator[None]:
    """Turn what the engine makes of an interrupt, a RuntimeError, back into one."""
    try:
        yield
    except RuntimeError as error:
        if type(error) is not RuntimeError or str(error) != "Query interrupted":
            raise
        raise KeyboardInterrupt from None


def _end(ending: Ending, go: threading.Event, thread: threading.Thread, outcome: Future[T]) -> None:
    begun = clock.monotonic()
    # A thread that is only being started has no ident yet; it may be that it never gets one.
    while not outcome.done() and clock.monotonic() - begun < (LONGEST_END_S if thread.ident else DOWNLOAD_END_S):
        # Whoever asks once more has been heard the first time.
        try:
            ending.press()
            go.set()
            wait({outcome}, timeout=_PRESS_S)
        except KeyboardInterrupt:
            continue


def _notes(outcome: Future[T], noted: str | None) -> list[str]:
    if not outcome.done():
        return ["the work was left behind unfinished"]
    error = outcome.exception()
    if error is None:
        return ["all of it was done already"]
    return list(getattr(error, "__notes__", [noted] if noted else []))


def _settle(result: Future[T], call: Callable[[], T]) -> None:
    try:
        value = call()
    except BaseException as error:
        # Raised again where the result is asked for.
        result.set_exception(error)
        if not isinstance(error, Exception):
            raise
    else:
        result.set_result(value)

"""The event loop's side of one call: what the call's thread, or one of its own threads, wants done there."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError, Future
from threading import Event, Lock
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from mixpanel_data import MixpanelDataError, clock, interrupts

T = TypeVar("T")
Tell = Callable[[float, float | None, str], Awaitable[None]]

# More often nobody can read.
_PROGRESS_EVERY_S = 0.25
# What begins to wait just when it is told to end is told again.
_TELL_AGAIN_S = 0.05


async def in_thread(work: Callable[[], T], limiter: anyio.CapacityLimiter, ending: interrupts.Ending) -> T:
    """As `in_thread_beside`, for a call that has no group."""
    done: list[T] = []
    failure: Exception | None = None
    async with anyio.create_task_group() as group:
        try:
            done.append(await in_thread_beside(group, work, limiter, ending))
        except Exception as error:  # noqa: BLE001 -- raised below, outside of the group, which would wrap it
            failure = error
    if failure is not None:
        raise failure
    return done[0]


async def in_thread_beside(
    group: TaskGroup, work: Callable[[], T], limiter: anyio.CapacityLimiter, ending: interrupts.Ending
) -> T:
    """What the work gives, in a thread. A thread cannot be stopped: a call that is cancelled has it end, and waits.

    Args:
        group: the call's own
        limiter: counts the threads of its kind
        ending: of the work, which runs under `interrupts.endable(ending)`; pressed when the group is cancelled
    """
    watching = anyio.CancelScope()
    group.start_soon(_press_when_cancelled, watching, ending)
    try:
        return await anyio.to_thread.run_sync(work, limiter=limiter)
    finally:
        watching.cancel()


async def _press_when_cancelled(scope: anyio.CancelScope, ending: interrupts.Ending) -> None:
    """Until the scope is cancelled."""
    with scope:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                while not scope.cancel_called:
                    ending.press()
                    await anyio.sleep(_TELL_AGAIN_S)


class Loopside:
    """Where threads leave work for the event loop, until the call ends.

    Args:
        group: the call's own; it is alive for as long as the call's thread
        cancelled: set on the loop when nobody waits for the call any more
    """

    def __init__(self, group: TaskGroup, cancelled: Event) -> None:
        self._loop, self._group, self._cancelled = asyncio.get_running_loop(), group, cancelled

    def post(self, action: Callable[[], object]) -> None:
        """Have something done soon, and go on."""
        self._loop.call_soon_threadsafe(action)

    def start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin work beside the call; on the loop only."""
        self._group.start_soon(work)

    def wait_for(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What `ask` gives on the loop; for any thread but the loop's.

        Raises:
            MixpanelDataError: code CANCELLED: nobody waits for the call any more.
            Else what `ask` raises.
        """
        future: Future[T] = Future()

        async def deliver() -> None:
            try:
                future.set_result(await ask())
            except anyio.get_cancelled_exc_class():
                future.cancel()
                raise
            except Exception as error:  # noqa: BLE001 -- it is raised in the thread that waits
                future.set_exception(error)

        def begin() -> None:
            if self._cancelled.is_set():
                future.cancel()
            else:
                self._group.start_soon(deliver)

        self.post(begin)
        try:
            return future.result()
        except CancelledError:
            pass
        # Raised outside of the handler: how it was cancelled says nothing.
        raise MixpanelDataError("the call was cancelled", "CANCELLED", fix="call again")


class Progress:
    """Tells a client how far a call is: a few times a second, never backwards, the newest first.

    Args:
        tell: sends one notification; does nothing where the client wants none
    """

    def __init__(self, loopside: Loopside, tell: Tell) -> None:
        self._loopside, self._tell = loopside, tell
        self._lock = Lock()
        self._at, self._done = float("-inf"), -1.0
        self._newest: tuple[float, float | None, str] | None = None
        self._telling = False

    def __call__(self, done: float, total: float | None, message: str) -> None:
        """From any thread; returns at once."""
        with self._lock:
            now = clock.monotonic()
            is_last = total is not None and done >= total
            if done <= self._done or (now - self._at < _PROGRESS_EVERY_S and not is_last):
                return
            self._at, self._done = now, done
        self._loopside.post(lambda: self._say(done, total, message))

    def _say(self, done: float, total: float | None, message: str) -> None:
        self._newest = (done, total, message)
        # A client that reads slowly is told the newest, and not all that it missed.
        if not self._telling:
            self._telling = True
            self._loopside.start(self._tell_all)

    async def _tell_all(self) -> None:
        try:
            while (newest := self._newest) is not None:
                self._newest = None
                await self._tell(*newest)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            # Who has gone is not told; that the call has nobody left is another's to find out.
            self._newest = None
        finally:
            self._telling = False

"""Jobs done at once, as far as they need not wait for each other."""

import queue
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress

LOOK_EVERY_S = 0.2


class Crew:
    """Jobs in threads of their own, each begun when those that it waits for are done.

    Args:
        jobs: name → what to do
        after: name → the jobs that must be done before it
    """

    def __init__(self, jobs: Mapping[str, Callable[[], None]], after: Mapping[str, Collection[str]]) -> None:
        self._after = {name: [each for each in after.get(name, ()) if each in jobs] for name in jobs}
        self._done = {name: threading.Event() for name in jobs}
        self._ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._stopped, self._failing = threading.Event(), threading.Lock()
        self._threads = [
            threading.Thread(target=self._do, args=(name, job), name=f"harness-{name}") for name, job in jobs.items()
        ]

    @property
    def stopped(self) -> bool:
        """Whether a job should give up, since another one failed or the caller was interrupted."""
        return self._stopped.is_set()

    def run(self) -> None:
        """Do all jobs; the first failure is raised at once, while others may still be giving up."""
        for thread in self._threads:
            thread.start()
        for _ in self._threads:
            if (error := self._next()) is not None:
                raise error

    def _next(self) -> BaseException | None:
        """How the next job ended."""
        while True:
            # An interrupt that comes just before a wait begins is raised when the wait is over: none may be long.
            with suppress(queue.Empty):
                return self._ended.get(timeout=LOOK_EVERY_S)

    def stop(self) -> None:
        """Have no further job begin, and those at work give up."""
        self._stopped.set()
        for done in self._done.values():
            done.set()

    def join(self) -> None:
        """Wait until every thread has ended."""
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _do(self, name: str, job: Callable[[], None]) -> None:
        for other in self._after[name]:
            self._done[other].wait()
        error: BaseException | None = None
        if not self.stopped:
            try:
                job()
            except BaseException as raised:  # noqa: BLE001 - handed over to the thread that waits, which raises it
                with self._failing:
                    # What others raise when they give up is no failure of their own, though it may be told first.
                    if not self._stopped.is_set():
                        error = raised
                    self.stop()
        self._done[name].set()
        self._ended.put(error)

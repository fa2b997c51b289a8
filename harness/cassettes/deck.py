"""Where a server's requests go while a case is on: to a tape, or to Mixpanel and on to a journal.

The server's process has one deck, and the deck has one source at a time. A source says of each request what the answer
is, or that Mixpanel is to be asked.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from harness.cassettes import canonical
from harness.cassettes.journal import Journal
from harness.cassettes.tape import Answer, Asked, Interaction, Tape
from harness.errors import HarnessError

MOST_EXPLAINED = 20
"""Misses of one case whose nearest recording is looked for, which takes a look at each recording."""

RECORD_AGAIN = "the server asks otherwise than it did: mend that, or record the case anew: harness record --only"


@dataclass(slots=True)
class Report:
    """What became of a case's requests.

    played: answered from a tape or a journal; sent: asked of Mixpanel
    misses: requests that are not on the tape, each with what is the most like it
    unused: recorded requests that were not made
    stopped: why Mixpanel is not asked any more; None where it may be
    refused: answers that were no good and are not kept, by status
    """

    played: int = 0
    sent: int = 0
    misses: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    stopped: dict[str, Any] | None = None
    refused: dict[str, int] = field(default_factory=dict)


class Source(Protocol):
    """Answers requests."""

    def take(self, asked: Asked) -> Answer | None:
        """The answer; None where Mixpanel is to be asked.

        Raises:
            HarnessError: there is none, and nobody is to be asked.
        """

    def put(self, asked: Asked, answer: Answer) -> None:
        """What Mixpanel answered."""

    def fail(self, why: HarnessError) -> None:
        """What Mixpanel answered cannot be kept, or what it was asked is none of its business."""

    def report(self) -> Report:
        """What became of the requests so far."""


class _Plays:
    """Answers without Mixpanel."""

    def __init__(self) -> None:
        self._misses: list[str] = []
        self._lock = threading.Lock()

    def put(self, asked: Asked, answer: Answer) -> None:
        """Of a request whose case has ended meanwhile, or that was sent by nobody's leave: it goes nowhere."""

    def fail(self, why: HarnessError) -> None:
        """A request that is none of Mixpanel's is on no tape."""
        with self._lock:
            self._misses.append(why.cause)


class Player(_Plays):
    """One tape: each recording answers once, requests that mean the same in the order in which they were recorded.

    looked_at: how many recordings were looked at to find answers, those for the text of a miss aside
    """

    def __init__(self, tape: Tape) -> None:
        super().__init__()
        self._tape = tape
        self._waiting: dict[str, deque[int]] = {}
        for number, each in enumerate(tape.interactions):
            self._waiting.setdefault(canonical.key(each.asked), deque()).append(number)
        self._used = [False] * len(tape.interactions)
        self.looked_at = 0

    def take(self, asked: Asked) -> Answer:
        """Raises HarnessError: NOT_ON_TAPE."""
        with self._lock:
            waiting = self._waiting.get(canonical.key(asked))
            if not waiting:
                raise self._miss(asked)
            self.looked_at += 1
            number = waiting.popleft()
            self._used[number] = True
            return self._tape.interactions[number].answer

    def report(self) -> Report:
        """Unused recordings are errors too: the case no longer asks what it asked."""
        with self._lock:
            unused = [
                f"request {number + 1}: {canonical.shown(each.asked)}"
                for number, each in enumerate(self._tape.interactions)
                if not self._used[number]
            ]
            return Report(played=sum(self._used), misses=list(self._misses), unused=unused)

    def _miss(self, asked: Asked) -> HarnessError:
        known = self._tape.interactions if len(self._misses) < MOST_EXPLAINED else ()
        error = miss(asked, known, self._tape.case, self._used)
        self._misses.append(error.cause)
        return error


class Shelf(_Plays):
    """Many tapes at once, for somebody who asks what comes to mind: whatever was recorded is answered, and again.

    Args:
        tapes: of one clock; those on which something went wrong are left out
    """

    def __init__(self, tapes: Iterable[Tape]) -> None:
        super().__init__()
        self._known: list[Interaction] = []
        self._at: dict[str, int] = {}
        self._played = 0
        for tape in tapes:
            # A broken body comes with a good status.
            if not tape.faults and all(each.answer.status < 400 for each in tape.interactions):
                for each in tape.interactions:
                    self._at.setdefault(canonical.key(each.asked), len(self._known))
                    self._known.append(each)

    def take(self, asked: Asked) -> Answer:
        """Raises HarnessError: NOT_ON_TAPE."""
        number = self._at.get(canonical.key(asked))
        with self._lock:
            if number is None:
                # Whoever asks what comes to mind may do so for days.
                self._misses = self._misses[1 - MOST_EXPLAINED :]
                error = miss(asked, self._known, "every case", ())
                self._misses.append(error.cause)
                raise error
            self._played += 1
        return self._known[number].answer

    def report(self) -> Report:
        """Nobody has to ask all that was recorded."""
        with self._lock:
            return Report(played=self._played, misses=list(self._misses))


class Closed(_Plays):
    """Between two cases: whatever is asked then belongs to none, and would be on nobody's tape."""

    def take(self, asked: Asked) -> Answer:
        """Raises HarnessError: NO_CASE."""
        error = HarnessError(
            "NO_CASE",
            f"no case is on, and the server asks: {canonical.shown(asked)}",
            fix="begin a case first: POST /_cassettes/begin",
        )
        self.fail(error)
        raise error

    def report(self) -> Report:
        """What nobody should have asked."""
        with self._lock:
            return Report(misses=list(self._misses))


class Recorder:
    """One case's journal: what is in it is not asked again, and what is asked is in it before the server hears of it.

    Args:
        known: good answers of other cases, by the request's key; the same question is not asked twice
        accidents: whether what elsewhere is an accident is what this case is about
        allow: asked before Mixpanel is; says what is spent, and until when
    """

    def __init__(
        self,
        journal: Journal,
        *,
        known: Mapping[str, Interaction],
        accidents: bool = False,
        allow: Callable[[Asked], dict[str, Any] | None] | None = None,
    ) -> None:
        self._journal, self._known, self._allow = journal, known, allow
        self._accidents = accidents
        self._before: dict[str, deque[Answer]] = {}
        self.interactions = journal.read()
        for each in self.interactions:
            self._before.setdefault(canonical.key(each.asked), deque()).append(each.answer)
        self._refused: Counter[str] = Counter()
        self._report, self._lock = Report(), threading.Lock()

    def take(self, asked: Asked) -> Answer | None:
        """Raises HarnessError: STOPPED."""
        key = canonical.key(asked)
        with self._lock:
            if waiting := self._before.get(key):
                self._report.played += 1
                return waiting.popleft()
            if (other := self._known.get(key)) is not None:
                self._report.played += 1
                self._keep(Interaction(asked, other.answer))
                return other.answer
            if self._report.stopped is None and self._allow is not None:
                self._report.stopped = self._allow(asked)
            if self._report.stopped is not None:
                raise HarnessError("STOPPED", str(self._report.stopped["cause"]), fix="go on later: harness record")
            self._report.sent += 1
        return None

    def put(self, asked: Asked, answer: Answer) -> None:
        """Keep it, if it is what was asked for."""
        with self._lock:
            if self._accidents or canonical.is_good(answer):
                self._keep(Interaction(asked, answer))
                return
            self._refused[str(answer.status)] += 1
            if answer.status in (401, 402, 429):
                what = {
                    401: "refuses the credentials",
                    402: "wants a plan that has an API",
                    429: "takes no more for now",
                }
                self._report.stopped = {
                    "cause": f"Mixpanel {what[answer.status]} (HTTP {answer.status})",
                    "status": answer.status,
                    "retry_after": answer.headers.get("retry-after"),
                }

    def fail(self, why: HarnessError) -> None:
        """The case has no tape then."""
        with self._lock:
            self._report.misses.append(why.cause)

    def report(self) -> Report:
        """What was asked of whom."""
        with self._lock:
            self._report.refused = dict(self._refused)
            # A journal that goes on holds more than is asked now only when the case itself has changed.
            self._report.unused = [key for key, waiting in self._before.items() for _ in waiting]
            return self._report

    def _keep(self, each: Interaction) -> None:
        self._journal.append(each)
        self.interactions.append(each)


@dataclass(slots=True)
class Deck:
    """What the process's requests meet; a case begins and ends by another source."""

    source: Source = field(default_factory=Closed)


def miss(asked: Asked, known: Sequence[Interaction], case: str, used: Sequence[bool]) -> HarnessError:
    """The error of a request that is not on tape, with what is the most like it."""
    cause = f"the tape of {case} has no {canonical.shown(asked)}"
    number = canonical.nearest(asked, known)
    if number is not None:
        other = known[number].asked
        if canonical.key(other) == canonical.key(asked):
            cause += f"; it has it once less than it is asked (request {number + 1})"
        else:
            again = ", used already" if used and used[number] else ""
            said = "; ".join(canonical.differences(asked, other)[:5])
            cause += f"; the nearest is request {number + 1}{again}: {said}"
    return HarnessError("NOT_ON_TAPE", cause, fix=f"{RECORD_AGAIN} {case.partition('/')[2].partition('--')[0]}".strip())

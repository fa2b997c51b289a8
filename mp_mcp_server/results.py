"""Full results that were too large to answer with: kept for a while, to be read piece by piece as result://{id}.

They are in the memory of this process, bounded in number, bytes and age, and gone with it: a second server behind the
same address does not have them. An id cannot be guessed.
"""

import json
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from typing_extensions import TypedDict

from mixpanel_data import clock
from mixpanel_data.errors import MixpanelDataError

# An answer travels twice, as text and as structured content, and clients of the handshake era stop at 1 MiB an event.
ANSWER_BYTES = 256 * 1024
# What is kept of one result at most; what is behind it is not even read.
KEPT_ROWS, KEPT_BYTES = 50_000, 4_000_000
PAGE_ROWS = 1000


class Page(TypedDict):
    """A piece of a full result.

    total: rows that are kept; complete is false where there were more than can be kept
    next: where the next piece is, null behind the last
    """

    tool: str
    rows: list[Any]
    offset: int
    total: int
    complete: bool
    next: str | None


class ResultNotFoundError(MixpanelDataError):
    """There is no such result, or no more."""

    default_code = "RESULT_NOT_FOUND"

    def __init__(self, result_id: str, age_s: float) -> None:
        super().__init__(
            f"no result is kept as {result_id[:40]!r}",
            fix=f"call the tool again: a full result is kept for {age_s / 60:.0f} minutes, by the server that gave it",
        )


@dataclass(frozen=True, slots=True)
class _Kept:
    tool: str
    rows: Sequence[bytes]
    complete: bool
    at: float

    @property
    def size(self) -> int:
        return sum(map(len, self.rows))


class Results:
    """The full results of a server. For any number of threads.

    Args:
        most: how many are kept; the oldest goes first
        most_bytes: of all of them together, as JSON text
        age_s: how long one is kept
        now: seconds on a clock that only goes forward
    """

    def __init__(
        self,
        most: int = 32,
        most_bytes: int = 32_000_000,
        age_s: float = 1800.0,
        now: Callable[[], float] = clock.monotonic,
    ) -> None:
        self._most, self._most_bytes, self._age_s, self._now = most, most_bytes, age_s, now
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def keep(self, tool: str, rows: Iterable[Any], *, complete: bool = True) -> str:
        """Keep rows, which are JSON-ready; of very many the first.

        Args:
            complete: whether these are all rows that there were

        Returns:
            The URI by which a client reads them.
        """
        texts: list[bytes] = []
        left = KEPT_BYTES
        for row in rows:
            text = encoded(row)
            left -= len(text)
            if left < 0 or len(texts) == KEPT_ROWS:
                complete = False
                break
            texts.append(text)
        result_id = secrets.token_urlsafe(9)
        with self._lock:
            self._kept[result_id] = _Kept(tool, texts, complete, self._now())
            self._let_go()
        return f"result://{result_id}"

    def page(self, result_id: str, offset: int = 0, limit: int = PAGE_ROWS) -> Page:
        """A piece of a result: at most `limit` rows from `offset` on, and at most as many as an answer may hold.

        Raises:
            ResultNotFoundError: there is none of that id, or it was too old.
        """
        with self._lock:
            self._let_go()
            kept = self._kept.get(result_id)
        if kept is None:
            raise ResultNotFoundError(result_id, self._age_s)
        first = min(max(offset, 0), len(kept.rows))
        wanted = kept.rows[first : first + max(limit, 1)]
        # One row at least, however long: a reader must get on.
        number = max(fitting(wanted, ANSWER_BYTES), min(len(wanted), 1))
        behind = first + number
        return {
            "tool": kept.tool,
            "rows": [json.loads(text) for text in wanted[:number]],
            "offset": first,
            "total": len(kept.rows),
            "complete": kept.complete,
            "next": f"result://{result_id}?offset={behind}" if behind < len(kept.rows) else None,
        }

    def clear(self) -> None:
        """Let go of all of them."""
        with self._lock:
            self._kept.clear()

    def _let_go(self) -> None:
        oldest = self._now() - self._age_s
        size = sum(kept.size for kept in self._kept.values())
        while self._kept:
            first = next(iter(self._kept.values()))
            if first.at >= oldest and len(self._kept) <= self._most and size <= self._most_bytes:
                return
            size -= first.size
            self._kept.popitem(last=False)


def encoded(value: Any) -> bytes:
    """A JSON-ready value as JSON text, short; of half a character, which no text can hold, a mark is left."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def sound(value: Any) -> Any:
    """A JSON-ready value without halves of characters: data has them where somebody cut a text, and no answer can."""
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        return json.loads(encoded(value))
    return value


def fitting(texts: Sequence[bytes], most_bytes: int) -> int:
    """How many of these, from the first on, are not larger than that together, commas between them included."""
    size = 0
    for number, text in enumerate(texts):
        size += len(text) + 1
        if size > most_bytes:
            return number
    return len(texts)

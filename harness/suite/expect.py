"""What a case expects of an answer: content at a place, not a shape alone."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from harness.suite.answer import AbsentError, Answer, at
from harness.suite.facts import Fact, settled

CLOSE = 1e-9
"""How far two numbers may lie apart, relatively: sums over the same events in another order."""


@dataclass(frozen=True, slots=True)
class Miss:
    """One thing that is not as expected: where, what was wanted, what was found."""

    where: str
    wanted: str
    found: str

    def __str__(self) -> str:
        return f"{self.where}: wanted {self.wanted}, found {self.found}"


class Expectation(Protocol):
    """Anything that can look at an answer."""

    def misses(self, answer: Answer, facts: Mapping[str, Any], /) -> Iterator[Miss]:
        """What is not as expected; nothing when all is."""


@dataclass(frozen=True, slots=True)
class Equal:
    """The value at a place, whole: its lists in their order, its numbers to `within`."""

    pointer: str
    value: Any
    within: float = CLOSE

    def misses(self, answer: Answer, facts: Mapping[str, Any], /) -> Iterator[Miss]:
        """See Expectation."""
        yield from _look(answer, self.pointer, lambda found: _unequal(found, settled(self.value, facts), self.within))


@dataclass(frozen=True, slots=True)
class SameItems:
    """The list at a place, its items in any order."""

    pointer: str
    items: Any

    def misses(self, answer: Answer, facts: Mapping[str, Any], /) -> Iterator[Miss]:
        """See Expectation."""

        def differs(found: Any) -> str | None:
            wanted = sorted(map(repr, settled(self.items, facts)))
            return None if isinstance(found, list) and sorted(map(repr, found)) == wanted else ", ".join(wanted)

        yield from _look(answer, self.pointer, differs)


@dataclass(frozen=True, slots=True)
class Holds:
    """The list, object or text at a place holds these."""

    pointer: str
    parts: tuple[Any, ...]

    def misses(self, answer: Answer, facts: Mapping[str, Any], /) -> Iterator[Miss]:
        """See Expectation."""

        def differs(found: Any) -> str | None:
            there = found.lower() if isinstance(found, str) else found
            parts = [part.lower() if isinstance(found, str) else part for part in settled(self.parts, facts)]
            missing = [part for part in parts if not isinstance(there, str | list | Mapping) or part not in there]
            return f"in it {', '.join(map(repr, missing))}" if missing else None

        yield from _look(answer, self.pointer, differs)


@dataclass(frozen=True, slots=True)
class Count:
    """How many items the list or object at a place has."""

    pointer: str
    number: Any

    def misses(self, answer: Answer, facts: Mapping[str, Any], /) -> Iterator[Miss]:
        """See Expectation."""

        def differs(found: Any) -> str | None:
            wanted = settled(self.number, facts)
            right = isinstance(found, list | Mapping) and len(found) == wanted
            return None if right else f"{wanted} items"

        yield from _look(answer, self.pointer, differs)


@dataclass(frozen=True, slots=True)
class Fails:
    """An error: its code, and words of its cause and of its fix.

    retry_after_s: when to come back; ANY where some number must stand, None where none may
    """

    code: str
    cause: str = ""
    fix: str = ""
    retry_after_s: Any = None

    def misses(self, answer: Answer, _facts: Mapping[str, Any], /) -> Iterator[Miss]:
        """See Expectation."""
        if not answer.failed:
            yield Miss("the answer", f"the error {self.code}", "no error")
            return
        for key, wanted in (("code", self.code), ("retry_after_s", self.retry_after_s)):
            found = answer.content.get(key)
            if not (isinstance(found, int | float) if wanted is ANY else found == wanted):
                yield Miss(f"/{key}", repr(wanted), repr(found))
        for key, words in (("cause", self.cause), ("fix", self.fix)):
            found = str(answer.content.get(key) or "")
            if not found or words.lower() not in found.lower():
                yield Miss(f"/{key}", f"in it {words!r}" if words else "some words", repr(found))
        if not answer.texts or str(answer.content.get("cause")) not in answer.texts[0]:
            yield Miss("the text", "the same cause", repr(answer.texts[:1]))


class _Any:
    def __repr__(self) -> str:
        return "some number"


ANY = _Any()


@dataclass(frozen=True, slots=True)
class Asks:
    """What the tool asked a person: how often, and words of each question in turn."""

    words: tuple[str | Fact, ...]

    def misses(self, answer: Answer, facts: Mapping[str, Any], /) -> Iterator[Miss]:
        """See Expectation."""
        asked = answer.questions
        if len(asked) != len(self.words):
            yield Miss("questions", f"{len(self.words)}", f"{len(asked)}: {' | '.join(asked)}")
        for words, question in zip(settled(self.words, facts), asked, strict=False):
            if words.lower() not in question.lower():
                yield Miss("question", f"in it {words!r}", repr(question))


def _look(answer: Answer, pointer: str, differs: Callable[[Any], str | None]) -> Iterator[Miss]:
    if answer.failed:
        yield Miss("the answer", "no error", f"{answer.content.get('code')}: {answer.content.get('cause')}")
        return
    try:
        found = at(answer.content, pointer)
    except AbsentError as error:
        yield Miss(pointer, "something", str(error))
        return
    wanted = differs(found)
    if wanted is not None:
        yield Miss(pointer, wanted, _short(found))


def _unequal(found: Any, wanted: Any, within: float) -> str | None:
    return None if _same(found, wanted, within) else _short(wanted)


def _same(found: Any, wanted: Any, within: float) -> bool:
    if isinstance(wanted, bool) or isinstance(found, bool):
        return found is wanted
    if isinstance(wanted, int | float) and isinstance(found, int | float):
        return math.isclose(found, wanted, rel_tol=within, abs_tol=within)
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return found.keys() == wanted.keys() and all(_same(found[key], wanted[key], within) for key in wanted)
    if isinstance(wanted, list) and isinstance(found, list):
        return len(found) == len(wanted) and all(map(lambda one, two: _same(one, two, within), found, wanted))
    return bool(found == wanted)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}…"

"""Answers are doubted piece by piece, so that a surprise is an error that names its place and never a KeyError."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mixpanel_data.errors import APIError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Beyond it a sum of answers could be infinite, which is no JSON.
LARGEST_NUMBER = 1e290
DEEPEST = 100
LONGEST_KEY = 40

_KINDS = {dict: "an object", list: "a list", str: "a text", bool: "a boolean", int: "a number", float: "a number"}


@dataclass(frozen=True, slots=True)
class Answer:
    """A piece of a decoded answer, with the place where it was found.

    operation: what was asked, as the path says it
    place: as `data.2025-03-01.steps[0]`; empty for the answer itself

    The readers return what they promise or raise APIError; what is in an answer is never quoted, as it may be private.
    """

    operation: str
    value: Any
    place: str = ""

    def wrong(self, wanted: str) -> APIError:
        """The error that says what is here and what belongs here."""
        what = "nothing" if self.value is None else _KINDS[type(self.value)]
        where = f"{self.place} is" if self.place else "it is"
        return APIError(
            f"the answer of {self.operation} is not of the known form: {where} {what}, not {wanted}",
            status_code=200,
            fix="ask again; if it stays, the service answers otherwise than its documentation says",
        )

    def at(self, key: str) -> Answer:
        """The member of an object; a missing one holds None."""
        members = self._of(dict, "an object")
        return Answer(self.operation, members.get(key), f"{self.place}.{key}" if self.place else key)

    def has(self, key: str) -> bool:
        """Whether it is an object with that member."""
        return isinstance(self.value, dict) and key in self.value

    @property
    def is_there(self) -> bool:
        """Whether there is anything at all; null is nothing."""
        return self.value is not None

    def members(self) -> Iterator[tuple[str, Answer]]:
        """The keys of an object in their order, with what they hold."""
        for key in self._of(dict, "an object"):
            shown = key if len(key) <= LONGEST_KEY else key[:LONGEST_KEY] + "…"
            yield key, Answer(self.operation, self.value[key], f"{self.place}.{shown}" if self.place else shown)

    def elements(self) -> Iterator[Answer]:
        """The elements of a list."""
        for number, value in enumerate(self._of(list, "a list")):
            yield Answer(self.operation, value, f"{self.place}[{number}]")

    def text(self, default: str | None = None) -> str:
        """A text; `default` where there is nothing."""
        if self.value is None and default is not None:
            return default
        found: str = self._of(str, "a text")
        return found

    def texts(self) -> list[str]:
        """A list of texts."""
        return [element.text() for element in self.elements()]

    def number(self) -> int | float:
        """A number, whole or not."""
        if type(self.value) not in {int, float}:
            raise self.wrong("a number")
        if not -LARGEST_NUMBER <= self.value <= LARGEST_NUMBER:
            raise self.wrong("one that can be computed with")
        found: int | float = self.value
        return found

    def whole(self, default: int | None = None) -> int:
        """A whole number, which may be written as 40.0; `default` where there is nothing."""
        if self.value is None and default is not None:
            return default
        number = self.number()
        if number != int(number):
            raise self.wrong("a whole one")
        return int(number)

    def truth(self, default: bool) -> bool:
        """A boolean, which may be written as 0 or 1; `default` where there is nothing."""
        if self.value is None:
            return default
        if type(self.value) not in {bool, int} or self.value not in {0, 1}:
            raise self.wrong("true or false")
        return bool(self.value)

    def numbers(self) -> dict[str, int | float]:
        """An object of numbers."""
        return {key: value.number() for key, value in self.members()}

    def free(self) -> Any:
        """Whatever it is, if it can be written as JSON again."""
        left = [(self.value, 0)]
        while left:
            value, depth = left.pop()
            if isinstance(value, float) and not math.isfinite(value):
                raise APIError(
                    f"the answer of {self.operation} is not of the known form: {self.place or 'it'} holds a number "
                    "that is none in JSON",
                    status_code=200,
                )
            if isinstance(value, dict | list):
                if depth == DEEPEST:
                    raise self.wrong(f"something nested at most {DEEPEST} deep")
                inner = value.values() if isinstance(value, dict) else value
                left += [(each, depth + 1) for each in inner]
        return self.value

    def free_object(self) -> dict[str, Any]:
        """An object that may hold whatever can be written as JSON again."""
        self.free()
        found: dict[str, Any] = self._of(dict, "an object")
        return found

    def free_objects(self) -> list[dict[str, Any]]:
        """A list of objects that may hold whatever can be written as JSON again."""
        self.free()
        return [element._of(dict, "an object") for element in self.elements()]

    def _of(self, kind: type, wanted: str) -> Any:
        # A boolean is an int to Python and not to Mixpanel, so kinds are compared and not asked for.
        if type(self.value) is not kind:
            raise self.wrong(wanted)
        return self.value

"""What a tool answered, in one form for every way in."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.cassettes.tape import AskedBack


class AbsentError(LookupError):
    """There is nothing at this place of the answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of a tool.

    content: its structured content
    texts: its texts, in their order
    asked: what the tool asked back before, with what it was told
    """

    failed: bool
    content: Mapping[str, Any] = field(default_factory=dict)
    texts: tuple[str, ...] = ()
    asked: tuple[AskedBack, ...] = ()

    @classmethod
    def of(cls, result: Mapping[str, Any], asked: Iterable[AskedBack] = ()) -> "Answer":
        """The answer in a `tools/call` result, as the protocol has it."""
        texts = tuple(part.get("text", "") for part in result.get("content", ()) if part.get("type") == "text")
        return cls(bool(result.get("isError")), result.get("structuredContent") or {}, texts, tuple(asked))

    @property
    def questions(self) -> tuple[str, ...]:
        """What a person was asked, message by message."""
        return tuple(str(each.params.get("message", "")) for each in self.asked if each.method == "elicitation/create")

    def result(self) -> dict[str, Any]:
        """A result of `tools/call` that says this, and no more: the same from every era and every client."""
        parts = [{"type": "text", "text": text} for text in self.texts]
        structured = {"structuredContent": dict(self.content)} if self.content else {}
        return {"isError": self.failed, **structured, "content": parts}


def at(value: Any, pointer: str) -> Any:
    """What stands at a JSON Pointer (RFC 6901), in which `*` stands for every item and gives their list.

    Raises:
        AbsentError: naming the part that is not there
    """
    return _at(value, [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]], "")


def _at(value: Any, parts: list[str], place: str) -> Any:
    if not parts:
        return value
    part, *rest = parts
    here = f"{place}/{part}"
    if part == "*":
        return [_at(inner, rest, f"{place}/{key}") for key, inner in _items(value, here)]
    if isinstance(value, Mapping) and part in value:
        return _at(value[part], rest, here)
    if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
        return _at(value[int(part)], rest, here)
    raise AbsentError(f"nothing at {here}")


def _items(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, list):
        yield from ((str(number), item) for number, item in enumerate(value))
    else:
        raise AbsentError(f"no items at {place}")

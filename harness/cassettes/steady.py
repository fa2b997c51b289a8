"""What a tool answers at every call: all of it, but for what is declared here, or by its case.

A tape keeps its answers in this form, so that a new recording of the same is the same file, and what a tool answers
today is held against its tape in this form, whichever way it came.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from harness.cassettes.styles import dumped, styled
from harness.cassettes.tape import AskedBack, Varies

PASSING: Mapping[str, str] = {
    "duration_seconds": "it is how long the call took",
}
"""Members, in whatever object, that are another number each time, with the reason; a tape has 0 in their place."""

_MADE_UP: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("result://", re.compile(r"result://[A-Za-z0-9_-]{12}(?![A-Za-z0-9_-])")),
)
"""Names that a server makes up, by how they begin; a tape numbers them in the order in which an answer names them."""

SPOKEN = ("isError", "structuredContent", "content")
"""Of a result: what a tool says. What else there is belongs to the era that the client speaks."""

LARGEST = 48_000
"""Letters of JSON: of a list, an object or a text that has more a tape keeps the beginning, and a digest of all."""
_BEGINNING = 2_000
_EXACT = 1 << 53
"""A number is what it is worth: JavaScript, whose client is one way in, writes 1.0 as 1."""


@dataclass(slots=True)
class _Names:
    """Names that were made up, and what stands for them."""

    known: dict[str, str] = field(default_factory=dict)

    def plain(self, text: str) -> str:
        for beginning, shape in _MADE_UP:
            if beginning in text:
                text = shape.sub(lambda found, beginning=beginning: self._number(found[0], beginning), text)  # type: ignore[misc]
        return text

    def _number(self, name: str, beginning: str) -> str:
        return self.known.setdefault(name, f"{beginning}{len(self.known) + 1}")


def result(said: Mapping[str, Any], varies: Sequence[Varies] = ()) -> dict[str, Any]:
    """A result of `tools/call`, the same for two calls that came to the same.

    Args:
        varies: places of its structured content that its case declares
    """
    names = _Names()
    content = said.get("structuredContent")
    steady = None if content is None else _steady(_varied(content, varies), names)
    parts = [_part(part, content, steady, names) for part in said.get("content") or ()]
    found: dict[str, Any] = {"isError": bool(said.get("isError"))}
    if steady is not None:
        found["structuredContent"] = _cut(steady)
    return {**found, "content": parts}


def asked_back(questions: Sequence[AskedBack]) -> tuple[AskedBack, ...]:
    """What a tool asked back with what it was told, the same for two calls that asked the same, in whatever era."""
    names = _Names()
    return tuple(
        AskedBack(each.method, _cut(_steady(_meant(each.params), names)), _cut(_steady(each.reply, names)))
        for each in questions
    )


def needless(varies: Sequence[Varies], one: Mapping[str, Any], other: Mapping[str, Any]) -> list[Varies]:
    """Those declarations at whose place two results say the same, or nothing."""
    contents = [each.get("structuredContent") for each in (one, other)]
    return [each for each in varies if _at(contents[0], each.place) == _at(contents[1], each.place)]


def first_difference(was: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """Where two steady results differ first, and what stands there in each; None where they are the same."""
    for name in ("isError", "structuredContent"):
        found = _difference(was.get(name, _ABSENT), now.get(name, _ABSENT), "")
        if found is not None:
            where, one, other = found
            return (where or ("the answer" if name == "structuredContent" else name)), _short(one), _short(other)
    found = _difference(was.get("content", []), now.get("content", []), "")
    return None if found is None else (f"the text{found[0]}", *_shown_apart(found[1], found[2]))


def first_otherwise_asked(was: Sequence[AskedBack], now: Sequence[AskedBack]) -> tuple[str, str, str] | None:
    """Where two steady lists of what was asked back differ first; as `first_difference`."""
    found = _difference([asdict(each) for each in was], [asdict(each) for each in now], "")
    return None if found is None else (f"what it asked back{found[0]}", *_shown_apart(found[1], found[2]))


def _meant(params: Mapping[str, Any]) -> dict[str, Any]:
    """Without what the one era's form of a question has and the other's has not."""
    said = {name: value for name, value in params.items() if name != "_meta" and (name, value) != ("mode", "form")}
    form = said.get("requestedSchema")
    if isinstance(form, Mapping):
        said["requestedSchema"] = {name: value for name, value in form.items() if name not in ("title", "description")}
    return said


def _part(part: Any, content: Any, steady: Any, names: _Names) -> Any:
    """A part of the content; what repeats the structured content repeats it still."""
    if not isinstance(part, Mapping) or not isinstance(part.get("text"), str):
        return _cut(_steady(part, names))
    said = styled(part["text"])
    if said is None:
        return {**part, "text": _cut(names.plain(part["text"]))}
    value, style = said
    for place in ("", "/result"):
        if _at(content, place) == value:
            return {**part, "text": dumped(_cut(_at(steady, place)), style)}
    return {**part, "text": dumped(_cut(_steady(value, names)), style)}


def _steady(value: Any, names: _Names) -> Any:
    if isinstance(value, Mapping):
        return {
            key: 0 if key in PASSING and _is_number(inner) else _steady(inner, names) for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_steady(inner, names) for inner in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    return names.plain(value) if isinstance(value, str) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _varied(content: Any, varies: Sequence[Varies]) -> Any:
    kinds: Mapping[str, Callable[[Any], Any]] = {"order": _in_order, "values": _kinds}
    for each in varies:
        content = _changed(content, each.place.split("/")[1:], kinds[each.what])
    return content


def _changed(value: Any, path: Sequence[str], change: Callable[[Any], Any]) -> Any:
    if not path:
        return change(value)
    if isinstance(value, Mapping) and path[0] in value:
        return {**value, path[0]: _changed(value[path[0]], path[1:], change)}
    return value


def _in_order(value: Any) -> Any:
    return sorted(value, key=lambda each: json.dumps(each, sort_keys=True)) if isinstance(value, list) else value


def _kinds(value: Any) -> Any:
    """What kind of thing each value is."""
    if isinstance(value, Mapping):
        return {key: _kinds(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_kinds(inner) for inner in value]
    return {str: "a text", bool: "yes or no", int: "a number", float: "a number"}.get(type(value))


def _cut(value: Any) -> Any:
    """The value, with the beginning of what is too large to be read and a digest of all of it."""
    if isinstance(value, Mapping):
        whole = {key: _cut(inner) for key, inner in value.items()}
        kept = _within(sorted(whole.items()))
        more = len(whole) - len(kept)
        return whole if not more else {**dict(kept), "…": _rest(value, more)}
    if isinstance(value, list):
        whole_list = [_cut(inner) for inner in value]
        kept_list = _within(whole_list)
        more = len(whole_list) - len(kept_list)
        return whole_list if not more else [*kept_list, f"… {_rest(value, more)}"]
    if isinstance(value, str) and len(value) > LARGEST:
        return f"{value[:_BEGINNING]}… {_rest(value, len(value) - _BEGINNING)}"
    return value


def _within(items: list[Any]) -> list[Any]:
    """All of them, or as many as make a beginning."""
    sizes = [len(json.dumps(each)) for each in items]
    if sum(sizes) <= LARGEST:
        return items
    room = _BEGINNING
    for number, size in enumerate(sizes):
        room -= size
        if room < 0:
            return items[: max(number, 1)]
    return items


def _rest(value: Any, more: int) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return f"and {more} more, SHA-256 of all {hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


_ABSENT = object()


def _difference(was: Any, now: Any, where: str) -> tuple[str, Any, Any] | None:
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        for name in {**was, **now}:
            here = f"{where}/{str(name).replace('~', '~0').replace('/', '~1')}"
            found = _difference(was.get(name, _ABSENT), now.get(name, _ABSENT), here)
            if found is not None:
                return found
        return None
    if isinstance(was, list) and isinstance(now, list):
        for number in range(max(len(was), len(now))):
            one, other = (each[number] if number < len(each) else _ABSENT for each in (was, now))
            found = _difference(one, other, f"{where}/{number}")
            if found is not None:
                return found
        return None
    # True is 1 to Python, and is not to anybody who reads JSON.
    same = was == now and isinstance(was, bool) == isinstance(now, bool)
    return None if same else (where, was, now)


def _at(value: Any, place: str) -> Any:
    for part in place.split("/")[1:]:
        if not isinstance(value, Mapping) or part not in value:
            return _ABSENT
        value = value[part]
    return value


def _short(value: Any) -> str:
    if value is _ABSENT:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 160 else text[:160] + "…"


def _shown_apart(was: Any, now: Any) -> tuple[str, str]:
    """Two texts from where they part."""
    if not isinstance(was, str) or not isinstance(now, str):
        return _short(was), _short(now)
    pairs = enumerate(zip(was, now, strict=False))
    at = next((number for number, (one, other) in pairs if one != other), min(len(was), len(now)))
    begin = max(0, at - 40)
    return _short(was[begin:]), _short(now[begin:])

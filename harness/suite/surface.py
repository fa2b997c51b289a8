"""What a client is shown, then and now: changes that break somebody, and changes that do not.

A surface is `{"tools": [...], "resources": [...], "templates": [...], "prompts": [...]}`, as the protocol lists them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

WORDING = frozenset({"description", "title", "examples", "$comment"})
KEYS = {"tools": "name", "resources": "uri", "templates": "uriTemplate", "prompts": "name"}
PROMISES = {"readOnlyHint": True, "destructiveHint": False, "idempotentHint": True, "openWorldHint": False}
"""Annotations, with the value that promises more: to take it back breaks whoever relied on it."""
LOWER, UPPER = (
    ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"),
    ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"),
)
Side = Literal["input", "output"]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    where: such as `tools/funnel/input/unit`
    """

    breaking: bool
    where: str
    what: str

    def __str__(self) -> str:
        return f"{'breaking' if self.breaking else 'harmless'}: {self.where}: {self.what}"


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Every difference between two surfaces."""
    found: list[Change] = []
    for part, key in KEYS.items():
        old = {each[key]: each for each in before.get(part, ())}
        new = {each[key]: each for each in after.get(part, ())}
        found += [Change(True, f"{part}/{name}", "is gone") for name in old if name not in new]
        found += [Change(False, f"{part}/{name}", "is new") for name in new if name not in old]
        for name in sorted(old.keys() & new.keys()):
            found += _of_one(f"{part}/{name}", old[name], new[name])
    return found


def _of_one(where: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for key in sorted({*old, *new} - {"inputSchema", "outputSchema", "annotations", "arguments"}):
        if old.get(key) != new.get(key):
            # A description is what a model chooses by, yet nothing that was right with the old one is wrong now.
            wording = key in WORDING or key in ("_meta", "name")
            yield Change(not wording, f"{where}/{key}", f"was {_short(old.get(key))}, is {_short(new.get(key))}")
    yield from _promises(f"{where}/annotations", old.get("annotations") or {}, new.get("annotations") or {})
    yield from _arguments(f"{where}/arguments", old.get("arguments") or (), new.get("arguments") or ())
    for side, key in (("input", "inputSchema"), ("output", "outputSchema")):
        before, after = old.get(key), new.get(key)
        if before is None or after is None:
            if before is not after:
                yield Change(before is not None, f"{where}/{side}", "is new" if before is None else "is gone")
            continue
        yield from _schema(f"{where}/{side}", before, after, "input" if side == "input" else "output")


def _promises(where: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            better = PROMISES.get(key)
            breaks = better is not None and old.get(key) == better
            yield Change(breaks, f"{where}/{key}", f"was {old.get(key)}, is {new.get(key)}")


def _arguments(where: str, old: Any, new: Any) -> Iterator[Change]:
    before, after = ({each["name"]: each for each in listed} for listed in (old, new))
    for name in before:
        if name not in after:
            yield Change(True, f"{where}/{name}", "is gone")
        elif after[name].get("required") and not before[name].get("required"):
            yield Change(True, f"{where}/{name}", "is required now")
        elif before[name] != after[name]:
            yield Change(False, f"{where}/{name}", "is worded or asked otherwise")
    for name in after:
        if name not in before:
            yield Change(bool(after[name].get("required")), f"{where}/{name}", "is new")


def _schema(where: str, old: Any, new: Any, side: Side) -> Iterator[Change]:
    """Differences of one schema; what a caller may no longer send, or a reader may now get, breaks."""
    if old == new:
        return
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        yield Change(True, where, f"was {_short(old)}, is {_short(new)}")
        return
    yield from _properties(where, old, new, side)
    yield from _required(where, old, new, side)
    yield from _bounds(where, old, new, side)
    yield from _choices(where, old, new, side)
    for key in ("items", "additionalProperties"):
        if key in old or key in new:
            yield from _schema(f"{where}/{key}", old.get(key), new.get(key), side)
    told = {"properties", "required", "items", "additionalProperties", "type", "enum", "anyOf", *LOWER, *UPPER}
    for key in sorted({*old, *new} - told):
        if old.get(key) != new.get(key):
            yield Change(key not in WORDING, f"{where}/{key}", f"was {_short(old.get(key))}, is {_short(new.get(key))}")


def _properties(where: str, old: Mapping[str, Any], new: Mapping[str, Any], side: Side) -> Iterator[Change]:
    before, after = old.get("properties") or {}, new.get("properties") or {}
    for name, schema in before.items():
        if name in after:
            yield from _schema(f"{where}/{name}", schema, after[name], side)
        else:
            yield Change(True, f"{where}/{name}", "is gone")
    for name in after:
        if name not in before:
            yield Change(side == "input" and name in (new.get("required") or ()), f"{where}/{name}", "is new")


def _required(where: str, old: Mapping[str, Any], new: Mapping[str, Any], side: Side) -> Iterator[Change]:
    before, after = set(old.get("required") or ()), set(new.get("required") or ())
    known = set(old.get("properties") or ())
    for name in sorted(after - before):
        if name in known:
            yield Change(side == "input", f"{where}/{name}", "is required now")
    for name in sorted(before - after):
        if name in (new.get("properties") or ()):
            yield Change(side == "output", f"{where}/{name}", "is no longer required")


def _bounds(where: str, old: Mapping[str, Any], new: Mapping[str, Any], side: Side) -> Iterator[Change]:
    for keys, sign in ((LOWER, 1), (UPPER, -1)):
        for key in keys:
            before, after = old.get(key), new.get(key)
            if before != after:
                narrower = after is not None and (before is None or sign * after > sign * before)
                yield Change(narrower == (side == "input"), f"{where}/{key}", f"was {before}, is {after}")


def _choices(where: str, old: Mapping[str, Any], new: Mapping[str, Any], side: Side) -> Iterator[Change]:
    for key in ("type", "enum", "anyOf"):
        before, after = _listed(old.get(key)), _listed(new.get(key))
        if before is None or after is None:
            if before is not after:
                # No list allows everything: to begin with one narrows, to end it widens.
                yield Change(
                    (after is not None) == (side == "input"), f"{where}/{key}", "is new" if after else "is gone"
                )
            continue
        gone, come = [each for each in before if each not in after], [each for each in after if each not in before]
        if gone:
            yield Change(side == "input", f"{where}/{key}", f"no longer {', '.join(map(_short, gone))}")
        if come:
            yield Change(side == "output", f"{where}/{key}", f"now also {', '.join(map(_short, come))}")


def _listed(value: Any) -> list[Any] | None:
    return None if value is None else value if isinstance(value, list) else [value]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"

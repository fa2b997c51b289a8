"""`harness call`: key=value words become arguments that fit the tool's input schema, and its answer becomes JSON."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from harness.errors import Exit, HarnessError, nearest
from harness.rpc import RpcError, Session, tool_error
from harness.wire import Fault, Place, WireError

KINDS = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}
EXAMPLES = {
    "integer": "{key}=10",
    "number": "{key}=0.5",
    "boolean": "{key}=true or {key}=false",
    "array": """{key}='["A","B"]', or {key}=A {key}=B""",
    "object": """{key}='{{"name": "value"}}'""",
    "null": "{key}=null",
}


def call(place: Place, path: str, tool: str, words: Sequence[str], timeout_s: float) -> Any:
    """Call a tool of the running server with arguments given as words.

    Args:
        words: `key=value`, each value read as the tool's input schema has it

    Returns:
        The answer's structured content; without one its text, parsed where it is JSON.

    Raises:
        HarnessError: UNKNOWN_TOOL, BAD_ARGUMENT (exit 2); the tool's own error (1); NO_ANSWER; TIMEOUT (124)
    """
    try:
        session = Session(place, path, timeout_s)
        session.initialize()
        schemas = {each["name"]: each.get("inputSchema", {}) for each in session.tools()}
        if tool not in schemas:
            raise _usage("UNKNOWN_TOOL", f"there is no tool {tool!r}", nearest(tool, list(schemas)))
        result = session.call(tool, arguments(tool, schemas[tool], words))
        session.close()
    except WireError as error:
        if error.fault is Fault.SILENT:
            raise HarnessError(
                "TIMEOUT",
                f"{tool} did not answer within {timeout_s:g} s",
                fix="give it longer with --timeout, or see harness logs mcp",
                exit_code=Exit.DEADLINE,
            ) from None
        raise HarnessError("NO_ANSWER", error.what, fix="see harness status and harness logs mcp") from None
    except RpcError as error:
        raise HarnessError("PROTOCOL", str(error), fix="see harness logs mcp") from None
    if result.get("isError"):
        raise tool_error(result)
    return answer(result)


def answer(result: Mapping[str, Any]) -> Any:
    """What a tool answered: its structured content, else its texts, parsed where they are JSON."""
    if result.get("structuredContent") is not None:
        return result["structuredContent"]
    text = "\n".join(part.get("text", "") for part in result.get("content", []))
    try:
        return json.loads(text)
    except ValueError:
        return text


def arguments(tool: str, schema: Mapping[str, Any], words: Sequence[str]) -> dict[str, Any]:
    """Read `key=value` words as a tool's arguments.

    Strings stay as they are; integers, numbers, booleans, arrays and objects are read as JSON; an array may also be one
    plain value or the same key several times. A plain value with a comma is refused for an array: it may be one name
    or two.

    Raises:
        HarnessError: BAD_ARGUMENT (exit 2) naming the word and what would be right
    """
    properties: Mapping[str, Any] = schema.get("properties", {})
    given: dict[str, list[str]] = {}
    for word in words:
        key, separator, value = word.partition("=")
        if not separator:
            raise _usage("BAD_ARGUMENT", f"{word!r} is not key=value", f"write {tool} {word}=…")
        if key not in properties:
            known = list(properties)
            raise _usage(
                "BAD_ARGUMENT",
                f"{tool} takes no {key!r}",
                nearest(key, known) if known else f"{tool} takes no arguments at all",
            )
        given.setdefault(key, []).append(value)
    found = {key: _value(key, _resolved(properties[key], schema), values, schema) for key, values in given.items()}
    missing = [key for key in schema.get("required", []) if key not in found]
    if missing:
        raise _usage(
            "BAD_ARGUMENT", f"{tool} needs {', '.join(missing)}", f"add {' '.join(f'{key}=…' for key in missing)}"
        )
    return found


def _value(key: str, forms: list[Mapping[str, Any]], values: list[str], root: Mapping[str, Any]) -> Any:
    kinds = {str(form.get("type", "")): form for form in forms}
    items = _resolved(kinds.get("array", {}).get("items", {}), root)
    if len(values) > 1:
        if "array" not in kinds:
            raise _usage("BAD_ARGUMENT", f"{key} is given {len(values)} times", f"give {key} once")
        return [_value(key, items, [value], root) for value in values]
    value = values[0]
    parsed = _parsed(value)
    kind = _kind(parsed)
    if kind in ("array", "object") and kind in kinds:
        return parsed
    if "string" in kinds:
        return value
    if "" in kinds:
        return value if parsed is _NOTHING else parsed
    if kind in kinds or (kind == "integer" and "number" in kinds):
        return parsed
    if "array" in kinds and "," not in value and kind not in ("object", "null"):
        return [_value(key, items, [value], root)]
    right = " or ".join(EXAMPLES[name].format(key=key) for name in sorted(kinds) if name in EXAMPLES)
    raise _usage("BAD_ARGUMENT", f"{key} cannot be {value!r}: it is {_article(set(kinds))}", f"write {right}")


_NOTHING = object()


def _parsed(value: str) -> Any:
    try:
        found = json.loads(value)
    except ValueError:
        return _NOTHING
    # NaN and Infinity are Python's own and would not survive the way.
    return _NOTHING if isinstance(found, float) and not math.isfinite(found) else found


def _kind(value: Any) -> str:
    return "null" if value is None else KINDS.get(type(value), "")


def _resolved(form: Mapping[str, Any], root: Mapping[str, Any], depth: int = 8) -> list[Mapping[str, Any]]:
    """The plain forms that a schema allows: references followed, alternatives side by side."""
    if depth and "$ref" in form:
        target: Any = root
        for part in str(form["$ref"]).removeprefix("#/").split("/"):
            target = target.get(part, {})
        return _resolved(target, root, depth - 1)
    for key in ("anyOf", "oneOf", "allOf"):
        if depth and key in form:
            return [plain for each in form[key] for plain in _resolved(each, root, depth - 1)]
    if isinstance(form.get("type"), list):
        return [{**form, "type": each} for each in form["type"]]
    if "type" not in form and ("enum" in form or "const" in form):
        return [{**form, "type": _kind(each)} for each in form.get("enum", [form.get("const")])]
    return [form]


def _article(kinds: set[str]) -> str:
    return " or ".join(f"an {kind}" if kind[:1] in "aio" else f"a {kind}" for kind in sorted(kinds - {"null"}))


def _usage(code: str, cause: str, fix: str) -> HarnessError:
    return HarnessError(code, cause, fix=fix, exit_code=Exit.USAGE)

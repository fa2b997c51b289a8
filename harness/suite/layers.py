"""For a red case, the first layer in which now differs from its tape: what Mixpanel was asked, or what was answered."""

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from harness.cassettes import canonical
from harness.cassettes.tape import Tape
from harness.suite.report import Layer

PASSING = frozenset({"duration_seconds", "_meta", "resultType"})
"""Of an answer: what differs from one call to the next, and what an era adds."""
MOST_LINES = 200
AROUND = 2


def first(
    whole: Tape,
    missed: Sequence[str],
    unused: Sequence[str],
    result: Mapping[str, Any] | None,
    *,
    copilot: bool = False,
) -> Layer | None:
    """The layer; None where nothing differs from the tape, and so what is expected does.

    Args:
        missed, unused: requests that are not on the tape, and those on it that were not made
        result: of the case's own call; None where there was none
        copilot: whether its client made it of what the server answered
    """
    if missed or unused:
        was = [f"- {line}" for line in unused]
        now = [f"+ {line}" for line in missed]
        return Layer("http", tuple([*was, *now][:MOST_LINES]))
    if result is None or not whole.exchanges:
        return None
    lines = difference(whole.exchanges[-1].result, result)
    return Layer("copilot" if copilot else "mcp", lines) if lines else None


def difference(was: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    """What differs between two results of `tools/call`, as lines of a diff; nothing where they say the same."""
    before, after = (_lines(_said(each)) for each in (was, now))
    found = list(difflib.unified_diff(before, after, lineterm="", n=AROUND))[2:]
    return tuple(found[:MOST_LINES])


def requests(whole: Tape) -> list[str]:
    """Every request on a tape, a line each."""
    return [canonical.shown(each.asked) for each in whole.interactions]


def _said(result: Mapping[str, Any]) -> Any:
    """The content once: structured where there is such, else its texts."""
    content = result.get("structuredContent")
    if content is None:
        content = [part.get("text") for part in result.get("content", ())]
    return {"isError": bool(result.get("isError")), "content": _steady(content)}


def _steady(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _steady(inner) for key, inner in value.items() if key not in PASSING}
    if isinstance(value, list):
        return [_steady(inner) for inner in value]
    return value


def _lines(value: Any) -> list[str]:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False).splitlines()

"""For a red case, the first layer in which now differs from its tape: what Mixpanel was asked, or what was answered."""

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from harness.cassettes import canonical, styles
from harness.cassettes.tape import Tape
from harness.suite.answer import Answer
from harness.suite.judge import told
from harness.suite.report import Layer

MOST_LINES = 200
AROUND = 2


def first(
    whole: Tape,
    missed: Sequence[str],
    unused: Sequence[str],
    answer: Answer | None,
    *,
    copilot: bool = False,
) -> Layer | None:
    """The layer; None where nothing differs from the tape, and so what is expected does.

    Args:
        missed, unused: requests that are not on the tape, and those on it that were not made
        answer: of the case's own call; None where there was none
        copilot: whether its client made it of what the server answered
    """
    if missed or unused:
        was = [f"- {line}" for line in unused]
        now = [f"+ {line}" for line in missed]
        return Layer("http", tuple([*was, *now][:MOST_LINES]))
    if answer is None or not whole.exchanges:
        return None
    lines = difference(*told(whole, answer))
    return Layer("copilot" if copilot else "mcp", lines) if lines else None


def difference(was: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    """What differs between two steady results, as lines of a diff; nothing where they say the same."""
    for lines in (_structured, _texts):
        found = list(difflib.unified_diff(lines(was), lines(now), lineterm="", n=AROUND))[2:]
        if found:
            return tuple(found[:MOST_LINES])
    return ()


def requests(whole: Tape) -> list[str]:
    """Every request on a tape, a line each."""
    return [canonical.shown(each.asked) for each in whole.interactions]


def _structured(result: Mapping[str, Any]) -> list[str]:
    """A member a line."""
    content = result.get("structuredContent")
    said = [] if content is None else json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False).splitlines()
    return [f"isError: {json.dumps(result.get('isError'))}", *said]


def _texts(result: Mapping[str, Any]) -> list[str]:
    """The same of JSON; of other text, a line a line."""
    found: list[str] = []
    for part in result.get("content", ()):
        text = part.get("text", "")
        said = styles.styled(text)
        shown = json.dumps(said[0], indent=1, ensure_ascii=False) if said else text
        # Letters that do not show are what differs where nothing else does.
        found += [line if line.isprintable() else repr(line) for line in shown.split("\n")]
    return found

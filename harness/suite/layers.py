"""For a red case, the first layer in which now differs from its tape: what Mixpanel was asked, what was asked back, or
what was answered."""

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from harness.cassettes import canonical, styles
from harness.cassettes.tape import AskedBack, Tape
from harness.suite import judge
from harness.suite.answer import Answer
from harness.suite.report import Layer

MOST_LINES = 200
AROUND = 2


def first(
    whole: Tape,
    missed: Sequence[str],
    unused: Sequence[str],
    answer: Answer | None,
    asked: Sequence[AskedBack],
    *,
    copilot: bool = False,
) -> Layer | None:
    """The layer; None where nothing differs from the tape, and so what is expected does.

    Args:
        missed, unused: requests that are not on the tape, and those on it that were not made
        answer: of the case's own call; None where there was none
        asked: what that call asked back, also where no answer came of it
        copilot: whether its client made them of what the server said
    """
    requests = [*(f"- {line}" for line in unused), *(f"+ {line}" for line in missed)]
    http = Layer("http", tuple(requests[:MOST_LINES])) if requests else None
    # What was not asked any more because the call broke off is none that differs before it did.
    if missed or (unused and answer is not None) or not whole.exchanges:
        return http
    was_asked, is_asked = judge.asked(whole, asked)
    if answer is None:
        was_asked = was_asked[: len(is_asked)]
    if lines := _diff(_questions(was_asked), _questions(is_asked)):
        return Layer("copilot" if copilot else "asked back", lines)
    if answer is not None and (lines := difference(*judge.told(whole, answer))):
        return Layer("copilot" if copilot else "mcp", lines)
    return http


def difference(was: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    """What differs between two steady results, as lines of a diff; nothing where they say the same."""
    return _diff(_structured(was), _structured(now)) or _diff(_texts(was), _texts(now))


def requests(whole: Tape) -> list[str]:
    """Every request on a tape, a line each."""
    return [canonical.shown(each.asked) for each in whole.interactions]


def _diff(was: Sequence[str], now: Sequence[str]) -> tuple[str, ...]:
    return tuple(list(difflib.unified_diff(was, now, lineterm="", n=AROUND))[2 : MOST_LINES + 2])


def _questions(asked: Sequence[AskedBack]) -> list[str]:
    """What was asked back, a member a line."""
    return [line for each in asked for line in _lines(asdict(each))]


def _lines(value: Any) -> list[str]:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False).splitlines()


def _structured(result: Mapping[str, Any]) -> list[str]:
    """A member a line."""
    content = result.get("structuredContent")
    said = [] if content is None else _lines(content)
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

"""JSON as it travels, in one of the styles that programs write it in, and as it is shown for people to review."""

import json
from typing import Any, Literal

Style = Literal["compact", "compact-ascii", "spaced", "spaced-ascii"]

WIDTH = 116
"""Of a line that is shown."""

_STYLES: dict[Style, tuple[tuple[str, str], bool]] = {
    "compact": ((",", ":"), False),
    "compact-ascii": ((",", ":"), True),
    "spaced": ((", ", ": "), False),
    "spaced-ascii": ((", ", ": "), True),
}


def styled(text: str) -> tuple[Any, Style] | None:
    """The object or list that a text is, and its style; None where the text could not be had back from these."""
    try:
        value = json.loads(text) if text[:1] in ("{", "[") else None
        if isinstance(value, dict | list):
            return next(((value, style) for style in _STYLES if dumped(value, style) == text), None)
    except (ValueError, RecursionError):
        pass  # no JSON, or deeper than anybody reads
    return None


def dumped(value: object, style: Style) -> str:
    """JSON as it travels."""
    separators, plain = _STYLES[style]
    return json.dumps(value, separators=separators, ensure_ascii=plain)


def shown(value: Any, style: Style = "compact", indent: int = 0) -> str:
    """JSON in lines of a page's width: what fits on one stands on one, and of short values several do.

    Raises:
        RecursionError: it is deeper than anybody reads.
    """
    plain = _STYLES[style][1]
    line = json.dumps(value, ensure_ascii=plain)
    if len(line) + indent <= WIDTH or not isinstance(value, dict | list) or not value:
        return line
    lines: list[str] = []
    fills, last = False, len(value) - 1
    for number, each in enumerate(value):
        inner = value[each] if isinstance(value, dict) else each
        name = f"{json.dumps(each, ensure_ascii=plain)}: " if isinstance(value, dict) else ""
        piece = f"{name}{shown(inner, style, indent + 1)}{',' if number < last else ''}"
        short = not isinstance(inner, dict | list)
        if fills and short and len(lines[-1]) + 1 + len(piece) <= WIDTH:
            lines[-1] += f" {piece}"
        else:
            lines.append(" " * (indent + 1) + piece)
        fills = short
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return "\n".join([opening, *lines, " " * indent + closing])

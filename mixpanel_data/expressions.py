"""Mixpanel's expression language, as far as the library writes it."""

from __future__ import annotations

import re

_ACCESSOR = re.compile(r"\b(properties|user|event)\[\"")


def normalize_on_expression(on: str) -> str:
    """What Mixpanel takes as `on`: a bare property name becomes an accessor, an expression stays as it is.

    Source: reference/mixpanel-api.md, sections 6.1 and 14 (6)
    """
    if _ACCESSOR.search(on):
        return on
    escaped = on.replace("\\", "\\\\").replace('"', '\\"')
    return f'properties["{escaped}"]'

"""What other people's words may do to a terminal: nothing."""

import re

ORDERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but tab and newline, those that turn the direction of what follows, and bytes that are no text."""


def harmless(text: str) -> str:
    """The same with the characters that a terminal would obey shown by their numbers, as JSON writes them, too."""
    return ORDERS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)

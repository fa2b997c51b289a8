"""Mixpanel's expressions, as far as the tools write them: foreign text goes in as a quoted value and never as syntax.

Source: reference/mixpanel-api.md, section 6
"""

from collections.abc import Iterable, Sequence

# How Mixpanel labels the events that lack a property.
MISSING = "undefined"


def quoted(text: str) -> str:
    """A text as a literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def accessor(name: str) -> str:
    """A property of an event."""
    return f"properties[{quoted(name)}]"


def is_labelled(name: str, label: str, values: Iterable[object] = ()) -> str:
    """Holds for the events that a segmentation by a property puts under a label.

    Args:
        name: the property
        label: of the segment
        values: the property's values as far as they are known, so that 5 and "5", true and "true" are told apart
    """
    alike = [value for value in values if label_of(value) == label]
    if len(alike) == 1:
        return f"{accessor(name)} == {_literal(alike[0])}"
    if label == MISSING and not alike:
        return f"not defined({accessor(name)})"
    return f"string({accessor(name)}) == {quoted(label)}"


def all_of(conditions: Sequence[str]) -> str:
    """Holds where each of them holds."""
    return conditions[0] if len(conditions) == 1 else " and ".join(f"({condition})" for condition in conditions)


def label_of(value: object) -> str:
    """Under which label a segmentation puts a text, number or boolean."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _literal(value: object) -> str:
    return quoted(value) if isinstance(value, str) else label_of(value)

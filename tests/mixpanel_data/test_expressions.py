"""What goes out as an expression."""

from __future__ import annotations

import pytest

from mixpanel_data import normalize_on_expression


@pytest.mark.parametrize(
    ("on", "sent"),
    [
        ("country", 'properties["country"]'),
        ("$browser", 'properties["$browser"]'),
        ('a "b" \\ c', 'properties["a \\"b\\" \\\\ c"]'),
        ('properties["plan"]', 'properties["plan"]'),
        ('string(user["plan"])', 'string(user["plan"])'),
        ('number(properties["a"]) - properties["b"]', 'number(properties["a"]) - properties["b"]'),
        ('event["$event_name"]', 'event["$event_name"]'),
        ("my properties", 'properties["my properties"]'),
    ],
)
def test_a_bare_name_becomes_an_accessor_and_an_expression_stays(on: str, sent: str) -> None:
    assert normalize_on_expression(on) == sent

"""Expressions: whatever a name or a value is, it stays a name or a value."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp_mcp_server.expressions import accessor, all_of, is_labelled, label_of, quoted

HOSTILE = '"] == "a" or defined(properties["b"]) or "\\'


@given(st.text())
def test_a_quoted_text_ends_where_it_ends(text: str) -> None:
    literal = quoted(text)
    inside = literal[1:-1]
    assert literal[0] == literal[-1] == '"'
    assert re.fullmatch(r'(?:[^"\\]|\\["\\])*', inside)
    assert re.sub(r"\\(.)", r"\1", inside) == text


def test_a_hostile_name_is_one_name() -> None:
    assert accessor(HOSTILE) == 'properties["\\"] == \\"a\\" or defined(properties[\\"b\\"]) or \\"\\\\"]'


@pytest.mark.parametrize(
    ("label", "values", "expression"),
    [
        ("pro", ["pro", "free"], 'properties["p"] == "pro"'),
        ("true", [True, False], 'properties["p"] == true'),
        ("true", ["true"], 'properties["p"] == "true"'),
        ("true", ["true", True], 'string(properties["p"]) == "true"'),
        ("5", [5, 6], 'properties["p"] == 5'),
        ("5", [5.0], 'properties["p"] == 5'),
        ("5.2", ["5.2"], 'properties["p"] == "5.2"'),
        ("5.2", [5.2], 'properties["p"] == 5.2'),
        ("", ["", "a"], 'properties["p"] == ""'),
        ("undefined", ["a"], 'not defined(properties["p"])'),
        ("undefined", ["undefined"], 'properties["p"] == "undefined"'),
        ("東京", [], 'string(properties["p"]) == "東京"'),
    ],
)
def test_a_segment_is_selected_by_its_label(label: str, values: list[object], expression: str) -> None:
    assert is_labelled("p", label, values) == expression


def test_conditions_are_joined() -> None:
    assert all_of(["a"]) == "a"
    assert all_of(["a", "b or c"]) == "(a) and (b or c)"


@given(st.one_of(st.booleans(), st.integers(-(10**9), 10**9)))
def test_labels_of_numbers_and_booleans_are_their_json(value: int) -> None:
    assert label_of(value) == json.dumps(value)

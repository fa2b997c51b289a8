"""key=value words as a tool's arguments."""

from typing import Any

import pytest

from harness.calls import answer, arguments
from harness.errors import HarnessError

SCHEMA: dict[str, Any] = {
    "type": "object",
    "$defs": {"Unit": {"type": "string", "enum": ["day", "week"]}},
    "properties": {
        "event": {"type": "string"},
        "limit": {"type": "integer"},
        "share": {"type": "number"},
        "append": {"type": "boolean"},
        "events": {"type": "array", "items": {"type": "string"}},
        "days": {"type": "array", "items": {"type": "integer"}},
        "filter": {"type": "object"},
        "on": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "most": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "unit": {"$ref": "#/$defs/Unit"},
        "either": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
        "listed": {"type": ["array", "null"], "items": {"type": "string"}},
        "kind": {"enum": [1, 2]},
        "free": {},
    },
}


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("event=Sign Up", "Sign Up"),
        ("event=5", "5"),
        ("event=true", "true"),
        ("event=a=b", "a=b"),
        ("event=", ""),
        ('event={"a":1}', '{"a":1}'),
        ("limit=10", 10),
        ("share=10", 10),
        ("share=0.5", 0.5),
        ("append=true", True),
        ('events=["A","B"]', ["A", "B"]),
        ("events=Sign Up", ["Sign Up"]),
        ("events=5", ["5"]),
        ("days=5", [5]),
        ('filter={"a": [1]}', {"a": [1]}),
        ("on=null", "null"),
        ("on=$browser", "$browser"),
        ("most=null", None),
        ("most=3", 3),
        ("unit=day", "day"),
        ("either=A", "A"),
        ('either=["A"]', ["A"]),
        ("either=A,B", "A,B"),
        ("listed=A", ["A"]),
        ("listed=null", None),
        ("kind=2", 2),
        ("free=x", "x"),
        ("free=1", 1),
    ],
)
def test_a_value_becomes_what_the_schema_says(word: str, value: Any) -> None:
    name = word.partition("=")[0]
    found = arguments("tool", SCHEMA, [word])
    assert found == {name: value}
    assert type(found[name]) is type(value)


def test_a_key_given_again_makes_an_array_longer() -> None:
    assert arguments("tool", SCHEMA, ["events=A,1", "events=B"]) == {"events": ["A,1", "B"]}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["limit=ten"], "write limit=10"),
        (["limit=1.5"], "write limit=10"),
        (["limit=true"], "limit cannot be 'true': it is an integer"),
        (["append=yes"], "write append=true or append=false"),
        (["events=A,B"], """write events='["A","B"]', or events=A events=B"""),
        (["days=x"], "days cannot be 'x'"),
        (["share=NaN"], "share cannot be 'NaN'"),
        (["filter=a"], """write filter='{"name": "value"}'"""),
        (["event=A", "event=B"], "event is given 2 times"),
        (["evnt=A"], "did you mean event"),
        (["event"], "'event' is not key=value"),
    ],
)
def test_a_wrong_word_is_named_with_what_would_be_right(words: list[str], said: str) -> None:
    with pytest.raises(HarnessError) as caught:
        arguments("tool", SCHEMA, words)
    assert said in str(caught.value)
    assert caught.value.exit_code == 2


def test_what_is_missing_is_named() -> None:
    with pytest.raises(HarnessError, match="needs event, limit"):
        arguments("tool", {**SCHEMA, "required": ["event", "unit", "limit"]}, ["unit=day"])


def test_an_answer_is_its_structured_content_or_its_text() -> None:
    assert answer({"structuredContent": {"a": 1}, "content": [{"text": "x"}]}) == {"a": 1}
    assert answer({"content": [{"type": "text", "text": '{"a": 2}'}]}) == {"a": 2}
    assert answer({"content": [{"type": "text", "text": "plain"}]}) == "plain"

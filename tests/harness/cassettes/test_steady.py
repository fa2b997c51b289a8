"""What two calls answer alike is one text, whichever way it came; what they do not is seen, and told in one line."""

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.cassettes import steady
from harness.cassettes.styles import dumped
from harness.cassettes.tape import AskedBack, Varies

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-100, 100) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
ORDER = Varies("/result", "order", "chance")
DRAWN = Varies("/result", "values", "chance")


def told(content: dict[str, Any] | None, *texts: str, failed: bool = False, **more: Any) -> dict[str, Any]:
    """A result of `tools/call`; its text is its structured content where no other is said."""
    said = texts or (() if content is None else (dumped(content, "compact"),))
    structured = {} if content is None else {"structuredContent": content}
    return {"isError": failed, **structured, "content": [{"type": "text", "text": text} for text in said], **more}


def differs(one: dict[str, Any], other: dict[str, Any], *varies: Varies) -> tuple[str, str, str] | None:
    return steady.first_difference(steady.result(one, varies), steady.result(other, varies))


def handle(seed: int) -> str:
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
    return "result://" + "".join(random.Random(seed).choices(letters, k=12))  # noqa: S311 -- a name, and no secret


@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=4))
@settings(max_examples=60, deadline=None)
def test_what_is_steady_stays_as_it_is(content: dict[str, Any]) -> None:
    once = steady.result(told(content))
    assert steady.result(once) == once
    assert differs(told(content), told(json.loads(json.dumps(content)))) is None


def test_how_long_it_took_and_what_an_era_adds_say_nothing() -> None:
    one = told({"rows": 1, "duration_seconds": 0.25, "inner": [{"duration_seconds": 3}]})
    other = told({"rows": 1, "duration_seconds": 7.5, "inner": [{"duration_seconds": 0}]}, resultType="complete")
    assert differs(one, {**other, "_meta": {"io.modelcontextprotocol/serverInfo": {"version": "9"}}}) is None
    assert differs(one, told({"rows": 2, "duration_seconds": 0.25, "inner": [{"duration_seconds": 3}]})) == (
        "/rows", "1", "2",
    )  # fmt: skip
    assert differs(told({"duration_seconds": "long"}), told({"duration_seconds": 1})) is not None, "a number it is"


@pytest.mark.parametrize("seed", range(40))
def test_a_handle_is_numbered_however_it_is_spelt(seed: int) -> None:
    def answer(first: str, second: str) -> dict[str, Any]:
        return told({"note": f"or read {first}.", "full_result": first, "next": second})

    mine, yours = answer(handle(seed), handle(seed + 100)), answer(handle(seed + 200), handle(seed + 300))
    assert differs(mine, yours) is None
    assert steady.result(mine)["structuredContent"]["full_result"] == "result://1"
    assert steady.result(mine)["structuredContent"]["next"] == "result://2"
    assert differs(mine, answer(handle(seed), handle(seed))) == ("/next", '"result://2"', '"result://1"')


def test_a_number_is_what_it_is_worth_as_javascript_writes_it() -> None:
    assert differs(told({"rate": 1.0, "of": [0.0, -2.0]}), told({"rate": 1, "of": [0, -2]})) is None
    assert differs(told({"rate": 1.5}), told({"rate": 1})) == ("/rate", "1.5", "1")
    assert differs(told({"yes": True}), told({"yes": 1})) == ("/yes", "true", "1")


@pytest.mark.parametrize(
    ("one", "other", "where"),
    [
        (told({"a": {"b/c": [1, 2]}}), told({"a": {"b/c": [1, 3]}}), "/a/b~1c/1"),
        (told({"a": [1, 2]}), told({"a": [1]}), "/a/1"),
        (told({"a": 1}), told({"a": 1, "b": None}), "/b"),
        (told({"a": 1}), told({"a": 1}, failed=True), "isError"),
        (told({"a": 1}), told(None, '{"a":1}'), "the answer"),
        (told({"a": 1}, "in words"), told({"a": 1}, "in other words"), "the text/0/text"),
        (told({"a": 1}, "one", "two"), told({"a": 1}, "one"), "the text/1"),
        (told(None, "a" * 500 + "b"), told(None, "a" * 500 + "c"), "the text/0/text"),
    ],
)
def test_a_difference_is_told_by_where_it_is(one: dict[str, Any], other: dict[str, Any], where: str) -> None:
    found = differs(one, other)
    assert found is not None
    assert found[0] == where
    assert found[1] != found[2], "what is shown of the two is not the same"
    assert all(len(shown) < 200 for shown in found[1:])


def test_rows_in_any_order_are_the_same_rows() -> None:
    rows = [{"n": number, "text": "x" * number} for number in range(9)]
    turned = told({"result": rows[::-1]}, dumped(rows[::-1], "compact"))
    assert differs(told({"result": rows}, dumped(rows, "compact")), turned, ORDER) is None
    assert differs(told({"result": rows}), turned) is not None
    assert differs(told({"result": rows}), told({"result": [*rows[:-1], rows[0]]}), ORDER) is not None
    assert differs(told({"result": rows}), told({"result": rows[:-1]}), ORDER) is not None


def test_rows_by_chance_are_so_many_of_one_kind() -> None:
    assert differs(told({"result": [{"a": 1, "b": "x"}]}), told({"result": [{"a": 2, "b": "y"}]}), DRAWN) is None
    for other in ([{"a": "2", "b": "y"}], [{"a": 1}], [], [{"a": None, "b": "x"}]):
        assert differs(told({"result": [{"a": 1, "b": "x"}]}), told({"result": other}), DRAWN) is not None
    assert differs(told({"result": [], "n": 1}), told({"result": [], "n": 2}), DRAWN) == ("/n", "1", "2")


def test_a_declaration_that_two_answers_do_not_need_is_named() -> None:
    one, other = told({"result": [1, 2]}), told({"result": [2, 1]})
    assert steady.needless([ORDER], one, other) == []
    assert steady.needless([ORDER], one, one) == [ORDER]
    nowhere = Varies("/rows", "order", "chance")
    assert steady.needless([ORDER, nowhere], one, other) == [nowhere], "nothing is there"


def test_of_what_nobody_reads_the_beginning_stays_and_a_digest_of_all() -> None:
    rows = [[number, "long " * 400] for number in range(60)]
    kept = steady.result(told({"result": rows, "note": "n"}))
    assert len(json.dumps(kept)) < 20_000
    assert kept["structuredContent"]["result"][0] == rows[0]
    assert steady.result(kept) == kept
    changed = [*rows[:-1], [59, "long " * 399 + "lang "]]
    found = differs(told({"result": rows, "note": "n"}), told({"result": changed, "note": "n"}))
    assert found is not None
    assert "SHA-256" in found[1]
    table = {f"{number:04}": "x" * 100 for number in range(900)}
    assert differs(told({"of": table}), told({"of": {**table, "0899": "y"}})) is not None
    assert differs(told({"of": table}), told({"of": dict(reversed(table.items()))})) is None
    assert differs(told({"of": "x" * 99_999}), told({"of": "x" * 99_998})) is not None


def question(message: str = "Go?", reply: str = "accept", **more: Any) -> AskedBack:
    form = {"type": "object", "properties": {"go": {"type": "boolean", "title": "Go"}}, "required": ["go"]}
    params = {"message": message, "requestedSchema": {**form, **more.pop("form", {})}, **more}
    return AskedBack("elicitation/create", params, {"action": reply})


def test_a_question_is_the_same_in_every_era() -> None:
    handshake = question("Go?", mode="form", _meta={"progressToken": 3}, form={"title": "Form", "description": "of it"})
    assert steady.asked_back([handshake]) == steady.asked_back([question("Go?")]) == (question("Go?"),)


@pytest.mark.parametrize(
    ("was", "now", "where"),
    [
        ([question("Go?")], [question("Stay?")], "/0/params/message"),
        ([question("Go?")], [question("Go?", reply="decline")], "/0/reply/action"),
        ([question("Go?")], [question("Go?", mode="url")], "/0/params/mode"),
        ([question("Go?")], [question("Go?", form={"required": []})], "/0/params/requestedSchema/required/0"),
        ([question("Go?")], [], "/0"),
        ([question("Go?")], [question("Go?"), question("Sure?")], "/1"),
        ([question("Go?"), question("Sure?")], [question("Sure?"), question("Go?")], "/0/params/message"),
    ],
)
def test_what_is_asked_back_otherwise_is_told_by_where_it_is(
    was: list[AskedBack], now: list[AskedBack], where: str
) -> None:
    assert steady.first_otherwise_asked(steady.asked_back(was), steady.asked_back(was)) is None
    found = steady.first_otherwise_asked(steady.asked_back(was), steady.asked_back(now))
    assert found is not None
    assert found[0] == f"what it asked back{where}"


def test_what_passes_has_a_reason() -> None:
    assert all(len(reason.split()) >= 4 for reason in steady.PASSING.values())

"""Expectations see what is wrong, and nothing else."""

import pytest

from harness.cassettes.tape import AskedBack
from harness.errors import HarnessError
from harness.suite.answer import AbsentError, Answer, at
from harness.suite.expect import ANY, Asks, Count, Equal, Expectation, Fails, Holds, SameItems
from harness.suite.facts import Fact, settled

FACTS = {"total": 3, "names": ["a", "b"], "word": "Android"}
GOOD = Answer(
    failed=False,
    content={
        "result": [{"name": "b", "n": 2}, {"name": "a", "n": 1}],
        "rate": 0.1 + 0.2,
        "said": "on Android",
        "a/b": 3,
    },
    asked=(AskedBack("elicitation/create", {"message": "Fetch 151 events?"}, {"action": "accept"}),),
)
BAD = Answer(
    failed=True,
    content={"code": "RATE_LIMITED", "cause": "too many", "fix": "ask again after 7 s", "retry_after_s": 7.0},
    texts=("too many\n\nError Details:",),
)

HOLD: list[tuple[Answer, Expectation]] = [
    (GOOD, Equal("/rate", 0.3)),
    (GOOD, Equal("/result/0", {"name": "b", "n": 2})),
    (GOOD, Equal("/result/*/n", [2, 1])),
    (GOOD, Equal("/a~1b", Fact("total"))),
    (GOOD, SameItems("/result/*/name", Fact("names"))),
    (GOOD, Holds("/said", (Fact("word"),))),
    (GOOD, Holds("/result/0", ("name",))),
    (GOOD, Holds("", ("rate",))),
    (GOOD, Count("/result", 2)),
    (GOOD, Asks(("151",))),
    (BAD, Fails("RATE_LIMITED", cause="Too Many", fix="again after", retry_after_s=ANY)),
    (BAD, Fails("RATE_LIMITED", retry_after_s=7.0)),
]
MISS: list[tuple[Answer, Expectation]] = [
    (GOOD, Equal("/rate", 0.3001)),
    (GOOD, Equal("/result/0", {"name": "b"})),
    (GOOD, Equal("/result/*/n", [1, 2])),
    (GOOD, Equal("/result/0/n", value=True)),
    (GOOD, Equal("/nowhere", 1)),
    (GOOD, SameItems("/result/*/name", ["a"])),
    (GOOD, SameItems("/result/*/name", ["a", "b", "b"])),
    (GOOD, Holds("/said", ("iOS",))),
    (GOOD, Holds("/rate", ("x",))),
    (GOOD, Count("/result", 3)),
    (GOOD, Count("/rate", 1)),
    (GOOD, Asks(())),
    (GOOD, Asks(("151", "more"))),
    (GOOD, Asks(("152",))),
    (GOOD, Fails("RATE_LIMITED")),
    (BAD, Fails("AUTH_FAILED", retry_after_s=ANY)),
    (BAD, Fails("RATE_LIMITED")),
    (BAD, Fails("RATE_LIMITED", cause="nothing like it", retry_after_s=ANY)),
    (BAD, Fails("RATE_LIMITED", fix="nothing like it", retry_after_s=ANY)),
    (Answer(failed=True, content=BAD.content, texts=("something else",)), Fails("RATE_LIMITED", retry_after_s=ANY)),
    (Answer(failed=True, content={"code": "X"}, texts=("",)), Fails("X")),
    (BAD, Equal("/code", "RATE_LIMITED")),
]


@pytest.mark.parametrize(("answer", "expectation"), HOLD, ids=lambda value: str(value)[:60])
def test_what_is_there_is_no_miss(answer: Answer, expectation: Expectation) -> None:
    assert list(expectation.misses(answer, FACTS)) == []


@pytest.mark.parametrize(("answer", "expectation"), MISS, ids=lambda value: str(value)[:60])
def test_what_is_not_there_is_one(answer: Answer, expectation: Expectation) -> None:
    found = list(expectation.misses(answer, FACTS))
    assert found
    assert all(miss.where and miss.wanted and miss.found for miss in found)


def test_a_place_that_is_not_there_is_named() -> None:
    with pytest.raises(AbsentError, match="nothing at /result/2"):
        at(GOOD.content, "/result/2")
    with pytest.raises(AbsentError, match="no items at /rate/"):
        at(GOOD.content, "/rate/*")


def test_a_fact_that_nobody_knows_is_no_value() -> None:
    assert settled({"a": [Fact("total"), 1]}, FACTS) == {"a": [3, 1]}
    with pytest.raises(HarnessError, match="tottal"):
        settled(Fact("tottal"), FACTS)

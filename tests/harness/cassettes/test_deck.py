"""A tape answers exactly what was recorded, each recording once; a journal is never asked twice."""

import random
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cassettes import canonical
from harness.cassettes.deck import Closed, Player, Recorder, Report, Shelf
from harness.cassettes.journal import Journal
from harness.cassettes.tape import Answer, Asked, Interaction
from harness.errors import HarnessError
from tests.harness.cassettes.made import asked, interaction, tape


def test_a_replay_of_thousands_looks_at_each_recording_once() -> None:
    recorded = [interaction(number, str(number).encode()) for number in range(5000)]
    player = Player(tape(*recorded))
    order = random.Random(1).sample(recorded, len(recorded))  # noqa: S311 -- an order, and no secret
    for each in order:
        assert player.take(each.asked) == each.answer
    assert player.looked_at == 5000
    assert player.report() == Report(played=5000)


def test_requests_that_are_the_same_are_answered_in_the_order_of_the_tape() -> None:
    same = interaction().asked
    player = Player(tape(*(Interaction(same, Answer(status)) for status in (503, 503, 200))))
    assert [player.take(same).status for _ in range(3)] == [503, 503, 200]
    with pytest.raises(HarnessError, match="once less than it is asked"):
        player.take(same)


def test_requests_in_flight_together_are_answered_as_a_set() -> None:
    recorded = [interaction(number, str(number).encode()) for number in range(64)]
    player = Player(tape(*recorded))
    gate, answers = threading.Barrier(8), dict[int, bytes]()

    def ask(first: int) -> None:
        gate.wait()
        for number in range(first, 64, 8):
            answers[number] = player.take(interaction(number).asked).body

    threads = [threading.Thread(target=ask, args=[first]) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: str(number).encode() for number in range(64)}
    assert player.report() == Report(played=64)


def test_no_two_threads_get_the_same_recording() -> None:
    same = interaction().asked
    player = Player(tape(*(Interaction(same, Answer(200, {}, str(n).encode())) for n in range(400))))
    got: list[bytes] = []

    def ask() -> None:
        got.extend(player.take(same).body for _ in range(50))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(int, got)) == list(range(400))


def test_a_miss_names_the_nearest_recording_and_what_differs() -> None:
    one = Interaction(asked(event="Sign Up", to_date="2025-06-30"), Answer(200))
    other = Interaction(asked(event="Purchase", unit="week", to_date="2025-05-31"), Answer(200))
    player = Player(tape(other, one))
    with pytest.raises(HarnessError) as error:
        player.take(asked(event="Sign Up", to_date="2025-06-29"))
    assert error.value.code == "NOT_ON_TAPE"
    assert error.value.cause.endswith("the nearest is request 2: to_date is '2025-06-29', on the tape '2025-06-30'")
    assert error.value.fix.endswith("harness record --only segmentation")
    report = player.report()
    assert report.misses == [error.value.cause]
    assert len(report.unused) == 2


def test_a_recording_that_nobody_asks_for_is_named() -> None:
    player = Player(tape(interaction(1), interaction(2)))
    player.take(interaction(2).asked)
    assert player.report().unused == ["request 1: GET https://mixpanel.com/api/query/segmentation with event='event 1'"]


def test_a_shelf_answers_again_and_again_and_leaves_out_what_went_wrong() -> None:
    bad = Interaction(interaction(3).asked, Answer(500))
    shelf = Shelf([tape(interaction(1)), tape(interaction(1, b"later"), interaction(2)), tape(bad, case="live/a--b")])
    assert [shelf.take(interaction(1).asked).body for _ in range(3)] == [interaction(1).answer.body] * 3
    with pytest.raises(HarnessError, match="the nearest is"):
        shelf.take(bad.asked)
    assert shelf.report().unused == []
    for number in range(100):
        with pytest.raises(HarnessError):
            shelf.take(interaction(1000 + number).asked)
    assert len(shelf.report().misses) == 20, "who asks for days does not fill the memory"


def test_a_shelf_leaves_out_a_tape_of_a_fault_whatever_its_status() -> None:
    broken = replace(tape(interaction(1, b"broken")), faults=({"kind": "malformed_line"},))
    assert Shelf([broken, tape(interaction(1))]).take(interaction(1).asked).body == interaction(1).answer.body


def test_between_cases_nothing_is_answered() -> None:
    closed = Closed()
    with pytest.raises(HarnessError) as error:
        closed.take(interaction().asked)
    assert error.value.code == "NO_CASE"
    assert len(closed.report().misses) == 1


def recorder(tmp_path: Path, **said: object) -> Recorder:
    return Recorder(Journal(tmp_path / "a.jsonl"), **{"known": {}, **said})  # type: ignore[arg-type]  # said by the test


def test_what_is_in_the_journal_is_not_asked_again(tmp_path: Path) -> None:
    first = recorder(tmp_path)
    for number in range(3):
        assert first.take(interaction(number).asked) is None
        first.put(interaction(number).asked, interaction(number).answer)
    again = recorder(tmp_path)
    assert [again.take(interaction(n).asked) for n in range(3)] == [interaction(n).answer for n in range(3)]
    assert again.take(interaction(3).asked) is None
    assert (again.report().played, again.report().sent) == (3, 1)


def test_what_another_case_was_answered_is_not_asked_again(tmp_path: Path) -> None:
    known = {canonical.key(interaction().asked): interaction()}
    made = recorder(tmp_path, known=known)
    assert made.take(interaction().asked) == interaction().answer
    assert [each.answer for each in made.interactions] == [interaction().answer], "it is on this tape too"


@pytest.mark.parametrize(("status", "stops"), [(401, True), (402, True), (429, True), (500, False), (503, False)])
def test_an_accident_is_not_kept_and_a_refusal_stops_the_recording(status: int, stops: bool, tmp_path: Path) -> None:
    made = recorder(tmp_path)
    made.take(interaction().asked)
    made.put(interaction().asked, Answer(status, {"retry-after": "7"}))
    assert made.interactions == []
    assert made.report().refused == {str(status): 1}
    if stops:
        assert made.report().stopped is not None
        with pytest.raises(HarnessError, match=f"HTTP {status}"):
            made.take(interaction().asked)
    else:
        assert made.take(interaction().asked) is None


def test_a_case_about_accidents_keeps_them(tmp_path: Path) -> None:
    made = recorder(tmp_path, accidents=True)
    for status in (429, 401, 503):
        made.take(interaction().asked)
        made.put(interaction().asked, Answer(status))
    assert [each.answer.status for each in made.interactions] == [429, 401, 503]
    assert made.report().stopped is None


def test_nobody_is_asked_when_the_hour_is_spent(tmp_path: Path) -> None:
    def allow(_asked: Asked) -> dict[str, object] | None:
        return {"cause": "this hour's 60 query calls are spent", "until": "later"}

    made = recorder(tmp_path, allow=allow)
    with pytest.raises(HarnessError) as error:
        made.take(interaction().asked)
    assert error.value.code == "STOPPED"
    assert made.report().sent == 0

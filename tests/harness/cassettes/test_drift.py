"""A target that answers otherwise than it did is found out, and one whose clock ticks is not."""

import json
import re
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.cassettes import canonical, drift, tape, written
from harness.cassettes.drift import Change
from harness.cassettes.studio import Studio
from harness.cassettes.tape import Answer, Case, Interaction, Tape
from harness.errors import HarnessError
from tests.harness.cassettes.cases import JUNE, REFUSED
from tests.harness.cassettes.hosting import environment
from tests.harness.cassettes.made import asked, interaction
from tests.harness.cassettes.made import tape as made_tape
from tests.harness.cassettes.test_record import made
from tests.harness.doctor.bending import proxy

REPORTS = Case("discovery", "list_bookmarks", "all")
DATED = replace(REFUSED, name="refused-until", faults=({**REFUSED.faults[0], "value": "http_date"},))
COUNTS = Case("live", "event_counts", "june", {"events": ["Sign Up"], **JUNE})


def differences(old: Any, new: Any, *, same_data: bool, **headers: str) -> list[tuple[str, str]]:
    """What differs between two answers, as place and kind."""
    tapes = [
        made_tape(
            Interaction(asked(), Answer(200, {"content-type": "application/json", **extra}, json.dumps(body).encode()))
        )
        for body, extra in ((old, {}), (new, headers))
    ]
    return [(each.where, each.what) for each in drift.compare(tapes[0], tapes[1], same_data=same_data)]


@pytest.mark.parametrize(
    ("old", "new", "same", "otherwise"),
    [
        ({"a": 1}, {"a": 1}, [], []),
        ({"a": 1}, {"a": 2}, [("/a", "changed")], []),
        ({"a": 1}, {"a": 1.0}, [], []),
        ({"a": 1}, {"a": "1"}, [("/a", "retyped")], [("/a", "retyped")]),
        ({"a": 1}, {"a": True}, [("/a", "retyped")], [("/a", "retyped")]),
        ({"a": 1, "b": "x"}, {"a": 1}, [("/b", "removed")], [("/b", "removed")]),
        ({"a": "x"}, {"a": "x", "b": 1}, [("/b", "added")], [("/b", "added")]),
        ({"x": [{"a": 1, "c": ""}]}, {"x": [{"a": 1}]}, [("/x/0/c", "removed")], [("/x/*/c", "removed")]),
        ({"x": []}, {"x": [1]}, [("/x", "changed")], []),
        ({"2025-06-01": 1}, {"2025-06-02": 5}, [("/2025-06-01", "removed"), ("/2025-06-02", "added")], []),
        (
            {"A": {"n": 1, "s": ""}},
            {"B": {"m": 1, "s": ""}},
            [("/A", "removed"), ("/B", "added")],
            [("/*/m", "added"), ("/*/n", "removed")],
        ),
        ({"session_id": "a1b2c3d4"}, {"session_id": "b2c3d4e5"}, [], []),
        ({"session_id": "a1"}, {"session_id": 2}, [("/session_id", "retyped")], [("/session_id", "retyped")]),
        ({"a/b": 1}, {"a/b": 2}, [("/a~1b", "changed")], []),
        ([1, 2], {"a": 1}, [("", "retyped")], [("", "retyped")]),
    ],
)
def test_what_counts_depends_on_whether_the_data_is_the_same(
    old: Any, new: Any, same: list[tuple[str, str]], otherwise: list[tuple[str, str]]
) -> None:
    assert sorted(differences(old, new, same_data=True)) == same
    assert sorted(differences(old, new, same_data=False)) == otherwise


def test_a_date_may_differ_and_a_content_type_may_not() -> None:
    assert differences({}, {}, same_data=True, **{"date": "Mon", "retry-after": "5"}) == []
    assert differences({}, {}, same_data=True, **{"content-type": "text/html"}) == [("header content-type", "changed")]


def test_each_thing_that_may_differ_says_why() -> None:
    assert all({**drift.IGNORED, **canonical.MADE_UP}.values())


def test_an_id_that_was_made_up_is_known_again_where_it_is_sent_back() -> None:
    def walk(made_up: str) -> Tape:
        first = Interaction(asked(page="0"), Answer(200, {}, f'{{"session_id": "{made_up}", "page": 0}}'.encode()))
        # No JSON: an answer that is cut repeats it all the same.
        then = Interaction(asked(page="1", session_id=made_up), Answer(200, {}, f'{{"of {made_up}'.encode()))
        return made_tape(first, then)

    assert drift.compare(walk("1751-abc"), walk("1863-xyz"), same_data=True) == []
    other = replace(walk("1863-xyz").interactions[1], asked=asked(page="2", session_id="1863-xyz"))
    moved = replace(walk("1863-xyz"), interactions=(walk("1863-xyz").interactions[0], other))
    assert {each.what for each in drift.compare(walk("1751-abc"), moved, same_data=True)} == {"asked", "not asked"}


def test_an_export_is_compared_line_by_line() -> None:
    line = b'{"event":"A","properties":{"time":1}}\n'
    old = made_tape(Interaction(asked(), Answer(200, {}, line * 3)))
    new = made_tape(Interaction(asked(), Answer(200, {}, line * 2 + line.replace(b"time", b"when"))))
    found = [(each.where, each.what) for each in drift.compare(old, new, same_data=True)]
    assert found == [("/2/properties/time", "removed"), ("/2/properties/when", "added")]


def test_other_requests_and_another_status_are_told() -> None:
    old, new = made_tape(interaction(1), interaction(2)), made_tape(interaction(2), interaction(3))
    assert [each.what for each in drift.compare(old, new, same_data=True)] == ["not asked", "asked"]
    bad = Interaction(interaction(1).asked, replace(interaction(1).answer, status=400))
    found = drift.compare(made_tape(interaction(1)), made_tape(bad), same_data=True)
    assert [(each.where, each.on_tape, each.now) for each in found] == [("status", "200", "400")]
    assert str(found[0]).endswith("event='event 1': status status: 200 on tape, 400 now")


def asked_again(place: Path, emulator_says: dict[str, Any] | None = None) -> tuple[list[str], list[Change]]:
    """Ask for what is on tape there, of an emulator that is told something else before."""
    with pytest.MonkeyPatch.context() as patch:
        if emulator_says is not None:
            start = Studio.emulator

            def told(studio: Studio, *options: str) -> Any:
                running, said = start(studio, *options)
                running.ask("PATCH", "/_emulator/settings", emulator_says)
                return running, said

            patch.setattr(Studio, "emulator", told)
        return drift.drift(
            place / "tapes",
            place / "state",
            environment(place, {}),
            sample=9,
            cache_dir=place / "cache",
            tell=lambda _: None,
        )


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a few cases are on tape; nobody may change them."""
    place = tmp_path_factory.mktemp("recorded")
    outcome, _ = made(place, (REPORTS, COUNTS, REFUSED, DATED))
    assert outcome.bad == {}
    return place


def test_a_field_that_moves_in_the_emulator_is_seen_and_the_passing_of_time_is_not(recorded: Path) -> None:
    before = {case: file.read_bytes() for case, file in tape.found(recorded / "tapes").items()}
    # Whenever it was recorded: when to come back is as far from the date of the refusal as it was.
    refusal = written.read(recorded / "tapes", DATED.id).interactions[0].answer.headers
    assert (refusal["date"], refusal["retry-after"]) == (
        "Mon, 30 Jun 2025 23:59:59 GMT",
        "Tue, 01 Jul 2025 00:00:36 GMT",
    )
    again, changes = asked_again(recorded, {"bookmarks_nested": True})
    assert sorted(again) == sorted(before)
    assert {each.case for each in changes} == {REPORTS.id}
    assert "retyped" in {each.what for each in changes}
    assert {case: file.read_bytes() for case, file in tape.found(recorded / "tapes").items()} == before
    assert not (recorded / "state" / "drift").exists()


def through(place: Path, clock_s: float, changed: Callable[[bytes], bytes]) -> set[tuple[str, str]]:
    """What is found where a proxy between the server and the emulator changes every answer: place and kind."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        start = Studio.host

        def behind(studio: Studio, session: Path, credentials: Any, base_url: str | None) -> Any:
            assert base_url is not None
            port = stack.enter_context(proxy(int(base_url.rpartition(":")[2]), clock_s, changed))
            return start(studio, session, credentials, f"http://127.0.0.1:{port}")

        patch.setattr(Studio, "host", behind)
        _, changes = asked_again(place)
    return {(each.where, each.what) for each in changes}


def test_a_field_that_changes_on_the_wire_is_seen_and_a_date_header_is_not(recorded: Path, tmp_path: Path) -> None:
    own = shutil.copytree(recorded, tmp_path / "own")
    # A date to come back at means something else against another date.
    tape.place(own / "tapes", DATED.id).unlink()
    assert through(own, -86400.0, bytes) == set()

    def otherwise(body: bytes) -> bytes:
        return re.sub(rb'"2025-06-30": ?', b'"2025-06-30":1', body.replace(b'"legend_size"', b'"legendSize"'))

    assert through(own, 0.0, otherwise) == {
        ("/legendSize", "added"),
        ("/legend_size", "removed"),
        ("/data/values/Sign Up/2025-06-30", "changed"),
    }


def test_without_a_tape_that_fits_there_is_nothing_to_compare(tmp_path: Path) -> None:
    with pytest.raises(HarnessError) as error:
        asked_again(tmp_path)
    assert error.value.code == "TAPES_MISSING"
    written.write(tmp_path / "tapes", made_tape(interaction(1)))
    with pytest.raises(HarnessError) as error:
        asked_again(tmp_path)
    assert error.value.code == "TAPE_WITHOUT_DATA"

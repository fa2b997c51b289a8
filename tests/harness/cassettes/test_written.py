"""A tape is text that a person can review, and comes back as it was; what is cut or hostile is refused."""

import errno
import gzip
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.cassettes import canonical, styles, written
from harness.cassettes import tape as tapes
from harness.cassettes.tape import Answer, Asked, AskedBack, Exchange, Interaction, Reply, ToolCall
from harness.errors import HarnessError
from tests.harness.cassettes.made import CASE, interaction, refused, tape

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
BODIES = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")),
    st.builds(
        lambda value, ascii_: json.dumps(value, ensure_ascii=ascii_).encode("utf-8", "replace"), JSON, st.booleans()
    ),
    st.lists(JSON, max_size=3).map(lambda rows: "\n".join(map(json.dumps, rows)).encode()),
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PAIRS = st.lists(st.tuples(NAMES, NAMES), max_size=5).map(tuple)
HEADERS = st.dictionaries(st.sampled_from(canonical.KEPT_HEADERS), st.text("abc/; =0123456789", max_size=10))
REQUESTS = st.one_of(
    st.builds(Asked, st.just("GET"), st.just("https://mixpanel.com/api/query/x"), PAIRS),
    st.builds(
        Asked, st.just("POST"), st.just("https://mixpanel.com/api/query/x"), PAIRS, st.just("application/json"), BODIES
    ),
    st.builds(
        Asked,
        st.just("POST"),
        st.just("https://mixpanel.com/api/query/jql"),
        PAIRS,
        st.just(written.FORM),
        PAIRS.map(lambda pairs: urlencode(pairs).encode()),
    ),
)
INTERACTIONS = st.builds(Interaction, REQUESTS, st.builds(Answer, st.integers(200, 599), HEADERS, BODIES))


@given(st.lists(INTERACTIONS, max_size=4))
@settings(max_examples=60, deadline=None)
def test_every_answer_comes_back_as_it_was_and_every_request_means_the_same(given: list[Interaction]) -> None:
    whole = tape(*given)
    again = written.parsed(written.text_of(whole), CASE)
    assert [each.answer for each in again.interactions] == [each.answer for each in given]
    assert [canonical.key(each.asked) for each in again.interactions] == [canonical.key(each.asked) for each in given]
    assert again.exchanges == whole.exchanges
    # What was read and is written anew is the same text: a tape nobody touched has no diff.
    assert written.text_of(again) == written.text_of(whole)


@given(INTERACTIONS)
@settings(max_examples=40, deadline=None)
def test_a_journal_line_says_the_same_as_a_tape(given: Interaction) -> None:
    line = json.loads(json.dumps(written.interaction_value(given)))
    again = written.interaction(line)
    assert again.answer == given.answer
    assert canonical.key(again.asked) == canonical.key(given.asked)


def test_json_stands_in_lines_of_a_pages_width_and_an_export_an_event_a_line() -> None:
    export = b'{"event":"A","properties":{"time":1}}\n{"event":"B","properties":{"time":2}}\n'
    days = {f"2025-06-{day:02}": day for day in range(1, 31)}
    body = json.dumps({"rows": [{"a": 1, "b": [True, None]}] * 5, "days": days}, separators=(",", ":")).encode()
    lines = written.text_of(tape(interaction(body=body), interaction(1, export))).splitlines()
    assert lines.count('        {"a": 1, "b": [true, null]},') == 4
    assert sum('"2025-06-' in line for line in lines) == 5, "of thirty days several stand on a line"
    assert max(map(len, lines)) <= styles.WIDTH + len("      ")
    assert '      {"event":"B","properties":{"time":2}}' in lines


RESULTS = st.builds(
    lambda content, texts, wrapped: {
        "isError": False,
        "structuredContent": {"result": content, "n": 1} if wrapped else content,
        "content": [{"type": "text", "text": text} for text in texts(content)],
    },
    st.dictionaries(st.text(max_size=5), JSON, max_size=3) | st.lists(JSON, max_size=3),
    st.sampled_from([
        lambda content: [json.dumps(content, separators=(",", ":"), ensure_ascii=False)],
        lambda content: [json.dumps(content), "in words", json.dumps({"result": content, "n": 1})],
        lambda content: [json.dumps(content, indent=1), ""],
        lambda _content: [],
    ]),
    st.booleans(),
)  # fmt: skip


@given(RESULTS)
@settings(max_examples=60, deadline=None)
def test_what_a_tool_answered_comes_back_as_it_was(result: dict[str, Any]) -> None:
    whole = replace(tape(), exchanges=(Exchange(ToolCall("funnel", {"a": 1}), result),))
    text = written.text_of(whole)
    again = written.parsed(text, CASE)
    assert again.exchanges == whole.exchanges
    assert written.text_of(again) == text


OBJECTS = st.dictionaries(st.text(max_size=5), JSON, max_size=3)
QUESTIONS = st.builds(AskedBack, st.sampled_from(["elicitation/create", "sampling/createMessage"]), OBJECTS, OBJECTS)
REPLIES = st.builds(Reply, st.sampled_from(["accept", "decline", "cancel"]), st.none() | OBJECTS)


@given(st.lists(QUESTIONS, max_size=3), st.none() | st.lists(REPLIES, max_size=3), st.none() | st.lists(st.text()))
@settings(max_examples=40, deadline=None)
def test_what_was_asked_back_and_what_a_client_had_to_say_come_back_as_they_were(
    questions: list[AskedBack], replies: list[Reply] | None, samples: list[str] | None
) -> None:
    made = Exchange(ToolCall("guided_analysis"), {"content": []}, tuple(questions))
    whole = replace(
        tape(),
        exchanges=(made,),
        replies=None if replies is None else tuple(replies),
        samples=None if samples is None else tuple(samples),
    )
    text = written.text_of(whole)
    again = written.parsed(text, CASE)
    assert (again.exchanges, again.replies, again.samples) == (whole.exchanges, whole.replies, whole.samples)
    assert written.text_of(again) == text


@pytest.mark.parametrize(
    ("right", "wrong", "why"),
    [
        ("action: accept", "action: perhaps", "replies.0.action"),
        ("""params: '{"message": "Go?"}'""", "params: '[]'", "a JSON object"),
        ("""params: '{"message": "Go?"}'""", "params: '{'", "Expecting"),
        ("reply:", "answer:", "calls.0.asked_back.0"),
    ],
)
def test_a_question_that_is_none_is_refused(right: str, wrong: str, why: str) -> None:
    question = AskedBack("elicitation/create", {"message": "Go?"}, {"action": "accept"})
    made = replace(tape(), exchanges=(Exchange(ToolCall("x"), {}, (question,)),), replies=(Reply("accept"),))
    text = written.text_of(made)
    assert right in text
    with pytest.raises(HarnessError) as error:
        written.parsed(text.replace(right, wrong, 1), CASE)
    assert error.value.code == "TAPE_UNREADABLE"
    assert why in error.value.cause


def test_what_an_answer_tells_twice_is_on_tape_once() -> None:
    rows = [f"row {number}" for number in range(40)]
    said = {"isError": False, "structuredContent": {"result": rows}, "content": [{"type": "text", "text": ""}]}
    for content in (rows, {"result": rows}):
        for ways in ({"separators": (",", ":")}, {}):
            said["content"] = [{"type": "text", "text": json.dumps(content, **ways)}]  # type: ignore[arg-type]
            text = written.text_of(replace(tape(), exchanges=(Exchange(ToolCall("sql"), said),)))
            assert text.count("row 7") == 1


@pytest.mark.parametrize(
    "repeats", ["- part: 1\n    of: /structuredContent", "- part: 0\n    of: /structuredContent/result"]
)
def test_a_repetition_of_what_is_not_there_is_refused(repeats: str, tmp_path: Path) -> None:
    result = {"isError": False, "structuredContent": {"a": 1}, "content": [{"type": "text", "text": '{"a":1}'}]}
    text = written.text_of(replace(tape(), exchanges=(Exchange(ToolCall("sql"), result),)))
    assert "- part: 0\n    of: /structuredContent" in text
    file = tapes.place(tmp_path, CASE)
    file.parent.mkdir()
    file.write_text(text.replace("- part: 0\n    of: /structuredContent", repeats))
    assert "repeats what is not there" in refused(tmp_path).cause


def test_json_that_is_deeper_than_anybody_reads_stays_text(monkeypatch: pytest.MonkeyPatch) -> None:
    body = b"[" * 1500 + b"1" * 200 + b"]" * 1500
    again = written.parsed(written.text_of(tape(interaction(body=body))), CASE)
    assert again.interactions[0].answer.body == body

    def too_deep(*_: object) -> str:
        raise RecursionError

    # How deep JSON may be to be read, and to be shown, is another number in each version of Python.
    monkeypatch.setattr(written, "shown", too_deep)
    assert written.interaction_value(interaction(body=b"[[1]]"))["answer"]["text"] == "[[1]]"


@pytest.mark.parametrize("body", [b'{"a":1.50}', b'{"a":1,"a":2}', b'{"a":"\\/"}', b'{"a" :1}', b"[1,2]\n"])
def test_json_that_could_not_be_had_back_stays_as_it_is(body: bytes) -> None:
    again = written.parsed(written.text_of(tape(interaction(body=body))), CASE)
    assert again.interactions[0].answer.body == body


def test_a_tape_that_is_cut_anywhere_is_an_error(tmp_path: Path) -> None:
    file = written.write(tmp_path, tape(interaction(1, "ü\n€".encode()), interaction(2), interaction(3)))
    data = file.read_bytes()
    for end in range(len(data) - 1):
        file.write_bytes(data[:end])
        assert refused(tmp_path).code in {"TAPE_CUT", "TAPE_UNREADABLE"}, data[:end][-40:]
    file.write_bytes(data[:-1])
    assert len(written.read(tmp_path, CASE).interactions) == 3, "the last line end alone may be missing"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "cut"),
        ("just words", "dict"),
        ("- a\n- b", "dict"),
        ("!!python/object/apply:os.system ['true']", "python"),
        ("format: 1\ncase: &a [x, *a]\nend: 0", ""),
        ("a: &a [1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b]\nformat: 1\nend: 0", ""),
        ("[" * 5000, ""),
        ("\x00", ""),
        ("<<<<<<< ours\nformat: 1\n=======\nformat: 2\n>>>>>>> theirs", ""),
    ],
)
def test_what_is_no_tape_is_refused_with_a_reason(text: str, word: str, tmp_path: Path) -> None:
    file = tapes.place(tmp_path, CASE)
    file.parent.mkdir()
    file.write_text(text)
    error = refused(tmp_path)
    assert error.code in {"TAPE_UNREADABLE", "TAPE_CUT"}
    assert word in error.cause
    assert "harness record" in error.fix


def changed(old: str, new: str) -> str:
    text = written.text_of(tape(interaction(1), interaction(2)))
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("end: 2", "end: 3", "TAPE_CUT"),
        ("format: 1", "format: 2", "TAPE_UNREADABLE"),
        ("status: 200", "status: 9000", "TAPE_UNREADABLE"),
        ("status: 200", "status: 'two hundred'", "TAPE_UNREADABLE"),
        ("method: GET", "methods: GET", "TAPE_UNREADABLE"),
        ("json: ", "base64: '!'\n    json: ", "TAPE_UNREADABLE"),
        ("target: emulator", "target: nowhere", "TAPE_UNREADABLE"),
        (CASE, "live/funnel--example", "TAPE_UNREADABLE"),
    ],
)
def test_a_tape_that_says_something_impossible_is_refused(old: str, new: str, code: str, tmp_path: Path) -> None:
    file = tapes.place(tmp_path, CASE)
    file.parent.mkdir()
    file.write_text(changed(old, new))
    assert refused(tmp_path).code == code


def test_a_missing_tape_says_how_to_record_it(tmp_path: Path) -> None:
    error = refused(tmp_path)
    assert (error.code, error.fix) == ("TAPE_MISSING", "record it: harness record --only segmentation")


@pytest.mark.parametrize(
    "case", ["", "live", "live/x", "../../etc/passwd--x", "live/../x--y", "live/X--y", "live/a--b\n"]
)
def test_a_case_that_would_be_another_file_is_refused(case: str, tmp_path: Path) -> None:
    assert refused(tmp_path, case).code == "NO_SUCH_CASE"


def test_a_tape_that_nobody_would_review_is_neither_written_nor_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written.write(tmp_path, tape(interaction(1, b"x" * 5000)))
    monkeypatch.setattr(tapes, "LARGEST_BYTES", 4000)
    assert refused(tmp_path).code == "TAPE_TOO_LARGE"
    with pytest.raises(HarnessError, match="ask for fewer days"):
        written.write(tmp_path, tape(interaction(1, b"x" * 5000)))
    assert len(list(tmp_path.rglob("*"))) == 2, "the directory, and the tape that was there"


def test_gzip_is_no_business_of_the_text() -> None:
    packed = Interaction(interaction().asked, Answer(200, {"content-encoding": "gzip"}, b"plain words"))
    text = written.text_of(tape(packed))
    assert "plain words" in text
    assert gzip.compress(b"plain words").hex() not in text


def test_a_tape_of_a_newer_format_says_so(tmp_path: Path) -> None:
    file = written.write(tmp_path, tape(interaction()))
    file.write_text(file.read_text().replace("format: 1\n", "format: 2\nof: a time to come\n"))
    error = refused(tmp_path)
    assert (error.code, error.cause) == (
        "TAPE_UNREADABLE",
        f"the tape of {CASE} is of format 2, and this version knows those up to 1",
    )


def test_what_a_kill_left_of_a_tape_is_swept_and_nothing_else(tmp_path: Path) -> None:
    file = written.write(tmp_path, tape(interaction()))
    left = file.with_name(f".{file.name}.0a1b2c3d")
    others = [file, file.with_name(".segmentation--x.yaml.swp"), file.with_name(f"{file.name}.0a1b2c3d")]
    for each in (left, *others[1:]):
        each.write_text("half")
    assert tapes.strays(tmp_path, ()) == sorted(each.relative_to(tmp_path).as_posix() for each in (left, *others[1:]))
    written.sweep(tmp_path)
    assert sorted(file.parent.iterdir()) == sorted(others)


def test_a_tape_under_another_name_is_a_stray(tmp_path: Path) -> None:
    file = written.write(tmp_path, tape(interaction()))
    for name in ("facts.json", "README.txt", "live/segmentation-example.yaml", "live/deeper/segmentation--a.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(file.read_bytes())
    assert tapes.strays(tmp_path, ("facts.json",)) == [
        "README.txt", "live/deeper/segmentation--a.yaml", "live/segmentation-example.yaml",
    ]  # fmt: skip


def test_a_disk_that_is_full_leaves_the_old_tape_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written.write(tmp_path, tape(interaction()))
    before = file.read_bytes()

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HarnessError) as error:
        written.write(tmp_path, tape(interaction(1)))
    assert (error.value.code, error.value.exit_code) == ("NOT_WRITTEN", 2)
    assert error.value.cause == f"{file} cannot be written: No space left on device"
    assert {each: each.read_bytes() for each in file.parent.iterdir()} == {file: before}


def test_a_place_that_takes_no_tape_is_named(tmp_path: Path) -> None:
    (tmp_path / "live").write_text("where a directory should be")
    with pytest.raises(HarnessError) as error:
        written.write(tmp_path, tape(interaction()))
    assert error.value.code == "NOT_WRITTEN"

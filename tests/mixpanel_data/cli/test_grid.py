"""The forms of a result, by themselves: nothing gets lost in a csv, and nothing gets through to a terminal."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixpanel_data.cli import terminal
from mixpanel_data.cli.grid import LONGEST_CELL, Grid, as_csv, as_object, as_plain, as_table, grid
from mixpanel_data.cli.output import Format, Output, as_json, ready
from mixpanel_data.errors import InvalidArgumentError
from tests.support.examples import examples

HOSTILE = "\x1b[2Jgone\x9b31m\x07\r\u202eesrever\u2028\x7f\ud800"
TEXT = st.text(st.characters(codec="utf-8"))


@examples(25, 100)
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1))
def test_every_text_comes_out_of_a_csv_as_it_went_in(rows: list[tuple[str, str]]) -> None:
    written = as_csv(Grid(("a", "b"), tuple(rows)), safe=False)
    assert list(csv.reader(io.StringIO(written, newline=""))) == [["a", "b"], *map(list, rows)]


def test_a_csv_has_lower_case_booleans_json_for_nested_values_and_nothing_for_null() -> None:
    shown = grid([{"a": True, "b": {"c": [1, "ü"]}}, {"a": None, "d": 2.5}])
    assert as_csv(shown, safe=False) == 'a,b,d\ntrue,"{""c"": [1, ""ü""]}",\n,,2.5\n'


def test_a_csv_of_no_items_has_the_header_that_is_known() -> None:
    assert as_csv(grid([], ["date", "count"]), safe=False) == "date,count\n"


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        (["b", "a"], "b\na\n"),
        ([{"id": 7, "name": "n"}, {"value": 1, "event": "e"}, {"id": 3, "event": "e"}, {"id": 4}], "n\n1\ne\n4\n"),
        ([{"other": 5, "more": 6}], "5\n"),
        ({"a": 1, "b": [2, None], "c": None, "d": False}, "a=1\nb=[2, null]\nc=\nd=false\n"),
        (42, "42\n"),
        ([], ""),
    ],
)
def test_plain_is_a_name_a_line_or_key_and_value(value: object, lines: str) -> None:
    assert as_plain(value, safe=False) == lines


def test_a_table_has_upper_case_heads_with_spaces_and_a_line_a_row() -> None:
    head, rule, *rows = as_table(grid([{"event_name": "Ü", "n": 12}, {"event_name": "b", "n": 3}]), width=None).split(
        "\n"
    )
    assert head.split() == ["EVENT", "NAME", "N"]
    assert set(rule) == {"─"}
    assert [row.split() for row in rows if row] == [["Ü", "12"], ["b", "3"]]
    assert rows[0].index("12") + 1 == rows[1].index("3")


def test_wide_characters_do_not_push_a_table_out_of_line() -> None:
    lines = as_table(grid([{"a": "東京都", "b": "x"}, {"a": "abcdef", "b": "x"}]), width=None).splitlines()[2:]
    assert lines[0].index("x") == lines[1].index("x") - 3


def test_a_table_wider_than_the_terminal_is_folded_and_elsewhere_never() -> None:
    shown = grid([{"long": "word " * 30, "b": 1}])
    assert max(map(len, as_table(shown, width=40).splitlines())) <= 40
    assert ("word " * 30).strip() in as_table(shown, width=None)


def test_a_table_cuts_what_is_very_long() -> None:
    line = as_table(grid(["x" * 10_000]), width=None).splitlines()[2]
    assert line == "x" * (LONGEST_CELL - 1) + "…"


def test_markup_in_data_is_no_markup() -> None:
    assert "[red]x[/red] :smile:" in as_table(grid(["[red]x[/red] :smile:"]), width=None)


@pytest.mark.parametrize("safe", ["table", "csv", "plain", "json", "jsonl"])
def test_no_control_character_reaches_a_terminal(safe: str) -> None:
    shown = grid([{HOSTILE: HOSTILE}])
    text = {
        "table": lambda: as_table(shown, width=80) + as_table(as_object({HOSTILE: HOSTILE}), width=80),
        "csv": lambda: as_csv(shown, safe=True),
        "plain": lambda: as_plain([HOSTILE], safe=True) + as_plain({HOSTILE: HOSTILE}, safe=True),
        "json": lambda: as_json(HOSTILE, indent=2),
        "jsonl": lambda: as_json({HOSTILE: HOSTILE}),
    }[safe]()
    assert "gone" in text
    assert set(text.replace("\n", "")) & set(HOSTILE) <= set("gone[2J31mesrever")
    text.encode("utf-8")


@examples(25, 100)
@given(st.text())
def test_what_is_visible_has_nothing_unseen(text: str) -> None:
    shown = terminal.visible(text)
    assert terminal.visible(shown) == shown
    shown.encode("utf-8")
    assert not {character for character in shown if ord(character) < 32 or 127 <= ord(character) < 160}


@pytest.mark.parametrize("text", ["plain", "naïve café", "東京", "👩\u200d👩\u200d👧", "می\u200cخواهم", "e\u0301"])
def test_what_people_write_is_left_as_it_is(text: str) -> None:
    assert terminal.visible(text) == text


@examples(25, 100)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_json_means_what_it_meant_whatever_is_escaped_in_it(value: object) -> None:
    assert json.loads(as_json(value)) == value


def test_numbers_that_json_does_not_have_are_null() -> None:
    assert ready({"a": float("nan"), "b": [float("inf")]}) == {"a": None, "b": [None]}


@pytest.mark.parametrize(
    ("form", "jq_filter", "printed"),
    [
        (Format.JSON, ".[0].a", "1\n"),
        (Format.JSON, ".[].a", "[\n  1,\n  2\n]\n"),
        (Format.JSON, ".[] | select(.a > 5)", "[]\n"),
        (Format.JSON, "length", "2\n"),
        (Format.JSON, ".[0].b", '"ü\\u009b"\n'),
        (Format.JSONL, ".[]", '{"a": 1, "b": "ü\\u009b"}\n{"a": 2}\n'),
        (Format.JSONL, ".[] | select(.a > 5)", ""),
    ],
)
def test_a_jq_filter_gives_one_result_or_a_list(
    capsys: pytest.CaptureFixture[str], form: Format, jq_filter: str, printed: str
) -> None:
    Output.of(form, jq_filter).show([{"a": 1, "b": "ü\x9b"}, {"a": 2}])
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize("form", [Format.TABLE, Format.CSV, Format.PLAIN])
def test_a_jq_filter_is_for_json_only(form: Format) -> None:
    with pytest.raises(InvalidArgumentError, match="--jq") as caught:
        Output.of(form, ".")
    assert "jsonl" in str(caught.value.fix)


@pytest.mark.parametrize("jq_filter", [".[", "nonsense", '"unended'])
def test_a_jq_filter_that_does_not_compile_is_told_in_jqs_words(jq_filter: str) -> None:
    with pytest.raises(InvalidArgumentError, match="does not compile: jq: error"):
        Output.of(Format.JSON, jq_filter)


def test_a_jq_filter_that_fails_is_told_in_jqs_words() -> None:
    with pytest.raises(InvalidArgumentError, match="Cannot index number"):
        Output.of(Format.JSON, ".[0].a").show([1])


def test_an_unpaired_surrogate_does_not_break_a_filter(capsys: pytest.CaptureFixture[str]) -> None:
    Output.of(Format.JSON, ".[0]").show(["\ud800x"])
    assert json.loads(capsys.readouterr().out) == "\ufffdx"

"""Requests that mean the same are the same, others are not, and a difference is named."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.cassettes import canonical
from harness.cassettes.tape import Answer, Asked
from harness.cassettes.written import FORM
from harness.errors import HarnessError
from tests.harness.cassettes.made import URL, interaction

JSON = "application/json"
QUERY = f"{URL}?event=Sign+Up&from_date=2025-06-01"
EXPORT = "https://data.mixpanel.com/api/2.0/export"
ENGAGE = "https://mixpanel.com/api/2.0/engage"


@pytest.mark.parametrize(
    ("url", "base", "there"),
    [
        ("https://mixpanel.com/api/query/segmentation?a=1", None, URL),
        ("https://eu.mixpanel.com/api/query/segmentation?a=1", None, URL),
        ("http://127.0.0.1:8201/api/query/segmentation?a=1", "http://127.0.0.1:8201", URL),
        ("http://127.0.0.1:8201/us/api/query/segmentation", "http://127.0.0.1:8201/us", URL),
        ("https://data-in.mixpanel.com/api/2.0/export?x=1", None, EXPORT),
        ("http://127.0.0.1:8201/api/2.0/export", "http://127.0.0.1:8201", EXPORT),
        ("http://127.0.0.1:8201/api/2.0/engage", "http://127.0.0.1:8201", ENGAGE),
        ("https://mixpanel.com/api/2.0/engage", None, ENGAGE),
        ("http://127.0.0.1:8201/api/app/me", "http://127.0.0.1:8201", "https://mixpanel.com/api/app/me"),
    ],
)
def test_the_url_is_mixpanels_own_wherever_the_request_really_goes(url: str, base: str | None, there: str) -> None:
    assert canonical.asked("get", url, "", b"", base).url == there


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://127.0.0.1:8201/api/query/x", None),
        ("http://127.0.0.1:8202/api/query/x", "http://127.0.0.1:8201"),
        ("http://127.0.0.1:8201/uss/api", "http://127.0.0.1:8201/us"),
        ("https://mixpanel.com.evil.example/api/query/x", None),
        ("https://evilmixpanel.com/api/query/x", None),
        ("http://mixpanel.com/api/query/x", None),
    ],
)
def test_a_request_to_somebody_else_is_refused_and_named(url: str, base: str | None) -> None:
    with pytest.raises(HarnessError) as error:
        canonical.asked("GET", url, "", b"", base)
    assert error.value.code == "FOREIGN_REQUEST"


def get(query: str) -> str:
    return canonical.key(canonical.asked("GET", f"{URL}?{query}", "", b"", None))


def post(media_type: str, body: str) -> str:
    return canonical.key(canonical.asked("POST", URL, media_type, body.encode(), None))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("a=1&b=2", "b=2&a=1", True),
        ("a=1&a=2", "a=2&a=1", False),
        ("a=1&b=", "a=1", False),
        ("a=%5B%22x%22%2C%22y%22%5D", "a=%5B%22x%22%2C+%22y%22%5D", True),
        ("a=%5B%22x%22%2C%22y%22%5D", "a=%5B%22y%22%2C%22x%22%5D", False),
        ("a=1", "a=1.0", False),
        ("a=true", "a=True", False),
        ("a=x+y", "a=x%20y", True),
        ("a=X", "a=x", False),
        ("a={%22b%22:1,%22c%22:2}", "a={%22c%22:2,%22b%22:1}", True),
    ],
)
def test_the_order_of_parameters_means_nothing_and_everything_else_does(one: str, other: str, same: bool) -> None:
    assert (get(one) == get(other)) is same


@pytest.mark.parametrize(
    ("media_type", "one", "other", "same"),
    [
        (JSON, '{"a":1,"b":[1,2]}', '{ "b": [1, 2], "a": 1 }', True),
        (JSON, '{"a":1,"b":[1,2]}', '{"a":1,"b":[2,1]}', False),
        (JSON, '{"a":1}', '{"a":"1"}', False),
        (JSON, '{"ids":"[\\"x\\", \\"y\\"]"}', '{"ids":"[\\"x\\",\\"y\\"]"}', True),
        (JSON, '{"a":{"b":"[1]"}}', '{"a":{"b":"[1 ]"}}', False),
        (FORM, "a=1&b=2", "b=2&a=1", True),
        (FORM, "a=1&b=2", "b=2&a=3", False),
        (FORM, "script=a+b", "script=a++b", False),
        ("text/plain", "a b", "a  b", False),
    ],
)
def test_bodies_are_compared_by_what_they_mean(media_type: str, one: str, other: str, same: bool) -> None:
    assert (post(media_type, one) == post(media_type, other)) is same


def test_a_text_is_never_the_json_that_it_spells() -> None:
    assert post("text/plain", "x") != post(JSON, '"x"')
    assert get("a=%7B%22json%22:1%7D") != get("a=1")


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=5), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_shuffled_parameters_are_the_same_and_a_changed_one_is_not(query: dict[str, str], chance: Any) -> None:
    pairs = list(query.items())
    shuffled = pairs[:]
    chance.shuffle(shuffled)
    key = canonical.key(Asked("GET", URL, tuple(pairs)))
    assert canonical.key(Asked("GET", URL, tuple(shuffled))) == key
    for number, (name, value) in enumerate(pairs):
        other = [*pairs[:number], (name, f"{value}x"), *pairs[number + 1 :]]
        assert canonical.key(Asked("GET", URL, tuple(other))) != key


def test_a_difference_names_the_parameter_and_both_values() -> None:
    here = canonical.asked("GET", f"{QUERY}&unit=day", "", b"", None)
    there = canonical.asked("GET", f"{QUERY}&unit=week&limit=5", "", b"", None)
    assert canonical.differences(here, there) == [
        "limit is absent, on the tape '5'",
        "unit is 'day', on the tape 'week'",
    ]
    body = canonical.asked("POST", URL, FORM, b"script=main()", None)
    other = canonical.asked("POST", URL, FORM, b"script=other()", None)
    assert canonical.differences(body, other) == ["script is 'main()', on the tape 'other()'"]


def test_the_nearest_is_of_the_same_place_before_it_is_alike() -> None:
    known = [interaction(0), interaction(1)]
    elsewhere = canonical.asked("GET", "https://mixpanel.com/api/query/funnels?event=event+1", "", b"", None)
    assert canonical.nearest(canonical.asked("GET", f"{URL}?event=event+1&x=1", "", b"", None), known) == 1
    assert canonical.nearest(elsewhere, known) == 1
    assert canonical.nearest(elsewhere, []) is None


@pytest.mark.parametrize(("status", "good"), [(200, True), (400, True), (403, True), (404, True)] + [
    (status, False) for status in (401, 402, 408, 425, 429, 500, 502, 503)
])  # fmt: skip
def test_an_accident_of_the_moment_is_not_what_was_asked_for(status: int, good: bool) -> None:
    assert canonical.is_good(Answer(status)) is good


def test_the_headers_kept_are_those_that_a_client_acts_on() -> None:
    sent = {"Content-Type": ["application/json"], "Set-Cookie": ["session=1"], "Date": ["Mon"], "X-Request-Id": ["1"]}
    assert canonical.kept_headers(sent) == {"content-type": "application/json"}
    assert canonical.kept_headers({**sent, "Retry-After": ["5"]}) == {
        "content-type": "application/json", "retry-after": "5",
    }, "seconds are meant against nothing"  # fmt: skip
    assert canonical.kept_headers({**sent, "Retry-After": ["Tue"]}) == {
        "content-type": "application/json", "retry-after": "Tue", "date": "Mon",
    }  # fmt: skip


def test_dates_move_to_the_tapes_clock_and_stay_as_far_apart_as_they_were() -> None:
    clock = datetime(2025, 6, 30, 23, 59, 59, tzinfo=UTC)
    said = {"date": "Wed, 01 Oct 2025 10:00:00 GMT", "retry-after": "Wed, 01 Oct 2025 10:01:30 GMT"}
    assert canonical.at_its_clock(Answer(429, said), clock).headers == {
        "date": "Mon, 30 Jun 2025 23:59:59 GMT", "retry-after": "Tue, 01 Jul 2025 00:01:29 GMT",
    }  # fmt: skip
    for odd in ({"retry-after": "5"}, {"retry-after": "soon", "date": "Mon"}, {"date": said["date"]}, {}):
        assert canonical.at_its_clock(Answer(429, odd), clock).headers == odd


@pytest.mark.parametrize(
    ("base", "text", "plain"),
    [
        ("http://127.0.0.1:8201", "http://127.0.0.1:8201/api/query/funnels", "https://mixpanel.com/api/query/funnels"),
        ("http://127.0.0.1:8201/eu", "at http://127.0.0.1:8201/eu/api/2.0/export.", f"at {EXPORT}."),
        ("http://127.0.0.1:8201", "http://127.0.0.1:8201/api/2.0/engage", ENGAGE),
        ("http://127.0.0.1:8201", "http://127.0.0.1:82011/api/query/x", "http://127.0.0.1:82011/api/query/x"),
        ("http://127.0.0.1:8201", "http://127.0.0.1:8201/health", "http://127.0.0.1:8201/health"),
        (None, "https://eu.mixpanel.com/api/query/jql", "https://mixpanel.com/api/query/jql"),
        (None, "https://data-in.mixpanel.com/api/2.0/export", EXPORT),
        (None, "https://eu.mixpanel.com/report/1", "https://eu.mixpanel.com/report/1"),
        (None, "https://developer.mixpanel.com/api/query", "https://developer.mixpanel.com/api/query"),
        (None, EXPORT, EXPORT),
    ],
)
def test_an_address_that_is_told_is_mixpanels_own(base: str | None, text: str, plain: str) -> None:
    assert canonical.told(base)(text.encode()).decode() == plain


def test_names_that_were_made_up_are_numbered_wherever_they_are_repeated() -> None:
    def walk(*made_up: str) -> list[bytes]:
        pages = [f'{{"session_id": "{each}", "page": {n}}}'.encode() for n, each in enumerate(made_up)]
        plain = canonical.made_up([interaction(0, page) for page in pages])
        return [plain(page) for page in (*pages, f"again {made_up[0]}".encode())]

    mine = walk("1751-abcdef", "1751-abcdefgh", "1751-abcdef")
    assert mine == walk("1863-uvwxyz", "1863-uvwxyz01", "1863-uvwxyz")
    assert mine[0] == b'{"session_id": "session_id-1", "page": 0}'
    assert mine[1:] == [b'{"session_id": "session_id-2", "page": 1}', mine[2], b"again session_id-1"]
    assert canonical.made_up([interaction(0, b'{"session_id": "1"}')])(b"1 and 1") == b"1 and 1", "too short to be told"

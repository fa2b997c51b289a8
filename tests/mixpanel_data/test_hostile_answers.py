"""Whatever is answered inside a 200: a result that is JSON and a table, or an error of ours; never a surprise."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixpanel_data import MixpanelAPIClient, MixpanelDataError, Workspace
from tests.support.questions import ASKED, holds
from tests.support.scripted_http import Reply, ScriptedServer

STRANGE: list[Any] = [
    *(None, True, False, 0, -1, 1, 10**400, 1e308, -1e308, 0.5, float("nan"), float("inf")),
    *("", "x", "\ud800", "$overall", "2025-03-01"),
    *([], {}, [[]], [{}], {"": {}}, {"steps": None}, [None], ["x", 1], {"data": {}}, {"results": 4}),
]
ODD = st.sampled_from(STRANGE)
ANY_JSON = st.recursive(
    ODD | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["data", "results", "values", "series", "steps", "key", "value", ""]), inner)
    ),
    max_leaves=8,
)


def places(answer: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every piece of an answer, the answer itself first."""
    yield path
    inner = answer.items() if isinstance(answer, dict) else enumerate(answer) if isinstance(answer, list) else ()
    for key, value in inner:
        yield from places(value, (*path, key))


def changed(answer: Any, path: tuple[Any, ...], odd: Any) -> Any:
    """The answer with something odd in a place."""
    if not path:
        return odd
    whole = copy.deepcopy(answer)
    parent = whole
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = odd
    return whole


def without(answer: Any, path: tuple[Any, ...]) -> Any:
    """The answer with a place left out."""
    whole = copy.deepcopy(answer)
    parent = whole
    for key in path[:-1]:
        parent = parent[key]
    del parent[path[-1]]
    return whole


def asked(client: MixpanelAPIClient, server: ScriptedServer, name: str, answer: Any) -> Any:
    """What comes of an answer: a result, or None where it is refused as it should be."""
    server.say(Reply(body=json.dumps(answer).encode()))
    server.received.clear()
    # A new one each time, as it remembers.
    workspace = Workspace(_api_client=client)
    try:
        found = ASKED[name][0](workspace)
    except MixpanelDataError as error:
        told = json.dumps(error.to_dict())
    else:
        holds(found)
        return found
    assert "message" in told
    return None


@pytest.mark.parametrize("name", ASKED)
def test_the_good_answer_is_read(client: MixpanelAPIClient, server: ScriptedServer, name: str) -> None:
    assert asked(client, server, name, ASKED[name][1]) is not None


@pytest.mark.parametrize("name", ASKED)
def test_every_piece_may_be_odd_or_missing(client: MixpanelAPIClient, server: ScriptedServer, name: str) -> None:
    good = ASKED[name][1]
    for path in places(good):
        there = good
        for key in path:
            there = there[key]
        for odd in (True, 10**400, float("nan"), "x") if isinstance(there, int | float) else (None, 4, {"x": [4]}):
            asked(client, server, name, changed(good, path, odd))
        if path:
            asked(client, server, name, without(good, path))


SLICE = settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.parametrize("name", ASKED)
@SLICE
@given(data=st.data())
def test_any_json_in_any_place(
    client: MixpanelAPIClient, server: ScriptedServer, name: str, data: st.DataObject
) -> None:
    put_anywhere(client, server, name, data)


@pytest.mark.soak
@pytest.mark.parametrize("name", ASKED)
@settings(SLICE, max_examples=400, derandomize=False)
@given(data=st.data())
def test_any_json_in_any_place_many_times(
    client: MixpanelAPIClient, server: ScriptedServer, name: str, data: st.DataObject
) -> None:
    put_anywhere(client, server, name, data)


def put_anywhere(client: MixpanelAPIClient, server: ScriptedServer, name: str, data: st.DataObject) -> None:
    good = ASKED[name][1]
    path = data.draw(st.sampled_from(list(places(good))))
    asked(client, server, name, changed(good, path, data.draw(ANY_JSON)))

"""Funnels: the worst step, and for whom it is worst."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp_mcp_server.analysis.funnel import find_bottleneck
from mp_mcp_server.analysis.significance import two_proportions

NAMES = ("Sign Up", "View", "Cart", "Buy")


def test_steps_are_read_one_against_the_one_before() -> None:
    finding = find_bottleneck(NAMES, (1000, 800, 200, 150), {})
    assert [(step.number, step.reached, step.rate, step.lost) for step in finding.steps] == [
        (1, 1000, 1.0, 0),
        (2, 800, 0.8, 200),
        (3, 200, 0.25, 600),
        (4, 150, 0.75, 50),
    ]
    assert finding.conversion == 0.15
    assert finding.bottleneck is not None
    assert finding.bottleneck.name == "Cart"
    assert finding.stands_out


def test_steps_that_lose_users_alike_have_no_bottleneck_that_stands_out() -> None:
    assert not find_bottleneck(NAMES, (1000, 740, 560, 420), {}).stands_out
    assert not find_bottleneck(NAMES, (12, 8, 3, 3), {}).stands_out
    assert not find_bottleneck(NAMES[:2], (1000, 10), {}).stands_out


def test_the_segment_that_falls_short_is_named_and_the_tiny_one_is_not() -> None:
    segments = {
        "country": {
            "US": (300, 240, 170, 140),
            "JP": (200, 160, 40, 32),
            "AU": (5, 5, 0, 0),
            "BR": (495, 395, 290, 240),
        }
    }
    reached = tuple(sum(column) for column in zip(*segments["country"].values(), strict=True))
    finding = find_bottleneck(NAMES, reached, segments)
    assert [(weak.value, weak.step.name) for weak in finding.weaknesses] == [("JP", "Cart")]
    weak = finding.weaknesses[0]
    assert (weak.before, weak.reached, weak.rate, weak.rate_elsewhere) == (160, 40, 0.25, 460 / 640)
    assert weak.missed == 160 * 460 / 640 - 40
    assert [one.value for one in finding.worse] == ["JP"]
    assert finding.worse[0].interval[0] < finding.worse[0].rate < finding.worse[0].interval[1]


def test_segments_that_do_alike_are_not_held_against_each_other() -> None:
    segments = {"theme": {"dark": (500, 400, 290, 220), "light": (500, 405, 285, 215)}}
    finding = find_bottleneck(NAMES, (1000, 805, 575, 435), segments)
    assert not finding.weaknesses
    assert not finding.better
    assert not finding.worse


def test_a_better_segment_is_named_too() -> None:
    segments = {"plan": {"pro": (300, 290, 270, 260), "free": (700, 500, 300, 200)}}
    finding = find_bottleneck(NAMES, (1000, 790, 570, 460), segments)
    assert [one.value for one in finding.better] == ["pro"]
    assert [one.value for one in finding.worse] == ["free"]


def test_a_funnel_that_nobody_enters() -> None:
    finding = find_bottleneck(NAMES, (0, 0, 0, 0), {"plan": {"pro": (0, 0, 0, 0)}})
    assert (finding.conversion, finding.bottleneck, finding.stands_out) == (0.0, None, False)


def test_users_who_count_under_two_values_are_compared_with_nobody() -> None:
    assert not find_bottleneck(NAMES, (100, 50, 20, 10), {"tag": {"a": (100, 20, 20, 15)}}).weaknesses


@given(st.lists(st.integers(0, 500), min_size=2, max_size=5), st.data())
def test_any_funnel_is_read_soundly(drops: list[int], data: st.DataObject) -> None:
    reached = sorted(drops, reverse=True)
    part: list[int] = []
    for count in reached:
        part.append(data.draw(st.integers(0, min([count, *part[-1:]]))))
    finding = find_bottleneck([str(n) for n in range(len(reached))], reached, {"p": {"v": part}})
    assert 0 <= finding.conversion <= 1
    assert all(step.lost >= 0 and 0 <= step.rate <= 1 for step in finding.steps)
    assert all(weak.rate < weak.rate_elsewhere and weak.missed > 0 for weak in finding.weaknesses)
    if finding.bottleneck:
        assert finding.bottleneck.rate == min(step.rate for step in finding.steps[1:] if reached[step.number - 2])


def test_what_may_be_chance_is_a_suspicion_and_no_weakness() -> None:
    segments = {"country": {"JP": (60, 50, 22, 18), "US": (440, 355, 240, 190)}}
    finding = find_bottleneck(NAMES, (500, 405, 262, 208), segments)
    assert not finding.weaknesses
    assert [(one.value, one.step.name) for one in finding.suspicions] == [("JP", "Cart")]
    assert 0.001 <= finding.suspicions[0].p_value < 0.05


def test_the_worst_step_is_looked_at_first() -> None:
    # The same shortfall, once at the step that loses the most and once elsewhere.
    there = find_bottleneck(NAMES, (1000, 800, 400, 320), {"c": {"JP": (200, 160, 55, 44)}})
    elsewhere = find_bottleneck(NAMES, (1000, 400, 320, 256), {"c": {"JP": (200, 80, 64, 35)}})
    assert [one.step.name for one in there.weaknesses] == ["Cart"]
    raw = two_proportions(55, 160, 345, 640)
    assert there.weaknesses[0].p_value == pytest.approx(raw / 0.8)
    assert not any(one.step.name == "View" for one in elsewhere.weaknesses)

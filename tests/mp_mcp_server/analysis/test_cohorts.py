"""Two groups: told apart where they differ, and not by one lucky answer of many."""

import pytest

from mp_mcp_server.analysis.cohorts import Returned, compare
from mp_mcp_server.analysis.significance import Sample, two_proportions


def test_groups_that_return_differently_are_told_apart() -> None:
    finding = compare({"week 1": (Returned(500, 320), Returned(400, 125))}, {})
    (week,) = finding.retention
    assert week.differs
    assert finding.differ
    assert (week.a, week.b) == (0.64, 0.3125)
    assert week.ratio == pytest.approx(2.048)
    assert week.p_value == two_proportions(320, 500, 125, 400)


def test_groups_that_return_alike_are_not() -> None:
    finding = compare({"week 1": (Returned(500, 240), Returned(400, 190))}, {})
    assert not finding.differ


def test_one_of_twenty_questions_answers_by_luck() -> None:
    lucky = (Returned(200, 125), Returned(200, 90))
    alike = (Returned(200, 100), Returned(200, 100))
    assert compare({"lucky": lucky}, {}).differ
    assert not compare({"lucky": lucky, **{str(n): alike for n in range(20)}}, {}).differ


def test_a_group_of_a_few_is_not_judged() -> None:
    finding = compare({"week 1": (Returned(20, 20), Returned(400, 10))}, {})
    assert finding.retention[0].p_value < 0.001
    assert not finding.differ


def test_frequencies_are_judged_by_the_spread_among_users() -> None:
    # The same means: one heavy user among many who do nothing proves nothing, steady users do.
    heavy = Sample.of_sums(100, 300.0, 90_000.0)
    steady = Sample.of_sums(100, 300.0, 910.0)
    none = Sample.of_sums(100, 100.0, 130.0)
    assert not compare({}, {"Search": (heavy, none)}).differ
    (search,) = compare({}, {"Search": (steady, none)}).frequency
    assert search.differs
    assert search.ratio == 3


def test_a_ratio_to_nothing_is_none() -> None:
    (one,) = compare({"day 1": (Returned(50, 10), Returned(50, 0))}, {}).retention
    assert one.ratio is None
    assert compare({}, {}).differ is False


def test_many_events_to_ask_about_do_not_hide_who_comes_back() -> None:
    back = {"week 1": (Returned(69, 40), Returned(83, 23))}
    alike = Sample.of_sums(70, 140.0, 420.0)
    finding = compare(back, {f"event {n}": (alike, alike) for n in range(14)})
    assert finding.retention[0].differs
    assert finding.retention[0].p_value == pytest.approx(2 * two_proportions(40, 69, 23, 83))


def test_what_may_be_chance_is_told_apart_from_what_is_sure() -> None:
    finding = compare({"week 1": (Returned(200, 116), Returned(200, 90))}, {})
    assert not finding.differ
    assert [one.name for one in finding.perhaps] == ["week 1"]

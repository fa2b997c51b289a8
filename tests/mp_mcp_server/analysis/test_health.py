"""Rates of a product: counted over users who had the time, and marks for them."""

from datetime import date, timedelta

from mp_mcp_server.analysis.health import ACTIVATION_BOUNDS, growth, retained, score

LAST = date(2025, 6, 30)


def test_only_cohorts_that_are_old_enough_count() -> None:
    cohorts = {LAST - timedelta(days=age): (10 + age, [9, 5 + age, 2]) for age in range(6)}
    day_1, day_2 = retained(cohorts, LAST, (1, 2, 30))
    assert (day_1.day, day_1.users, day_1.returned) == (1, 13 + 14 + 15, 8 + 9 + 10)
    assert (day_1.first, day_1.last) == (LAST - timedelta(days=5), LAST - timedelta(days=3))
    assert day_1.rate == 27 / 42
    assert (day_2.users, day_2.returned, day_2.last) == (14 + 15, 4, LAST - timedelta(days=4))


def test_nobody_is_retained_where_nobody_began() -> None:
    assert retained({}, LAST) == []
    assert retained({LAST - timedelta(days=40): (0, [0] * 31)}, LAST) == []


def test_growth_compares_like_with_like() -> None:
    weekday_pattern = [10, 10, 10, 10, 10, 4, 4]
    assert growth(weekday_pattern * 4) == 0
    assert growth([*weekday_pattern * 2, *(2 * count for count in weekday_pattern * 2)]) == 1
    assert growth([10, 20]) == 1
    assert growth([99, 10, 20]) == 1
    assert growth([0, 5]) is None
    assert growth([0, 0]) == growth([5, 0, 0]) == 0
    assert growth([]) == growth([3]) == 0


def test_marks_go_from_one_to_ten() -> None:
    assert score(0.0, ACTIVATION_BOUNDS) == 1
    assert score(1.0, ACTIVATION_BOUNDS) == 10
    assert [score(bound, ACTIVATION_BOUNDS) for bound in ACTIVATION_BOUNDS] == list(range(2, 11))

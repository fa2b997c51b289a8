"""The tests of significance, against what they approximate: counting every possibility, and shuffling."""

import random
import statistics
from itertools import pairwise, product
from math import comb, isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp_mcp_server.analysis.significance import (
    Sample,
    corrected,
    detectable,
    from_z,
    interval,
    means,
    two_proportions,
)


def fisher_by_counting(hits_a: int, count_a: int, hits_b: int, count_b: int) -> float:
    """The share of all ways to deal the hits that are no likelier than the one seen, in whole numbers."""
    hits = hits_a + hits_b
    ways = {
        found: comb(count_a, found) * comb(count_b, hits - found)
        for found in range(max(0, hits - count_b), min(hits, count_a) + 1)
    }
    return sum(way for way in ways.values() if way <= ways[hits_a]) / sum(ways.values())


@pytest.mark.parametrize(("count_a", "count_b"), [(1, 1), (3, 9), (8, 8), (12, 400)])
def test_small_groups_are_judged_exactly(count_a: int, count_b: int) -> None:
    for hits_a, hits_b in product(range(count_a + 1), (0, 1, count_b // 2, count_b)):
        found = two_proportions(hits_a, count_a, hits_b, count_b)
        assert isclose(found, fisher_by_counting(hits_a, count_a, hits_b, count_b), rel_tol=1e-6)


def test_large_groups_are_judged_as_if_they_were_counted_out() -> None:
    for hits_a, hits_b in ((480, 450), (520, 430), (500, 500), (430, 470)):
        found = two_proportions(hits_a, 900, hits_b, 900)
        assert found == pytest.approx(fisher_by_counting(hits_a, 900, hits_b, 900), abs=0.03)


def test_a_very_large_group_beside_a_handful_overflows_nothing() -> None:
    assert two_proportions(0, 5, 400_000, 1_000_000) == pytest.approx(0.6**5 + 0.4**5, abs=0.1)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
def test_a_p_value_is_a_probability_and_does_not_care_who_is_first(a: int, b: int, c: int, d: int) -> None:
    hits_a, count_a, hits_b, count_b = min(a, b), max(a, b), min(c, d), max(c, d)
    one = two_proportions(hits_a, count_a, hits_b, count_b)
    assert 0 <= one <= 1
    assert one == pytest.approx(two_proportions(hits_b, count_b, hits_a, count_a))
    assert one == pytest.approx(two_proportions(count_a - hits_a, count_a, count_b - hits_b, count_b))


def test_alike_groups_are_called_different_as_rarely_as_promised() -> None:
    rng = random.Random(7)  # noqa: S311 -- repeatable draws, no secrets
    drawn = [sum(rng.random() < 0.3 for _ in range(400)) for _ in range(1000)]
    called = sum(two_proportions(a, 400, b, 400) < 0.05 for a, b in zip(drawn[::2], drawn[1::2], strict=True))
    assert 8 <= called <= 45  # 25 of 500 are to be expected


def test_means_are_judged_as_shuffling_would() -> None:
    rng = random.Random(3)  # noqa: S311 -- the same
    a = [rng.expovariate(1 / 3) for _ in range(120)]
    b = [rng.expovariate(1 / 4) for _ in range(90)]
    seen = abs(sum(a) / 120 - sum(b) / 90)
    pooled, as_far = a + b, 0
    for _ in range(2000):
        rng.shuffle(pooled)
        as_far += abs(sum(pooled[:120]) / 120 - sum(pooled[120:]) / 90) >= seen
    assert means(sample(a), sample(b)) == pytest.approx(as_far / 2000, abs=0.03)


def sample(values: list[float]) -> Sample:
    return Sample.of_sums(len(values), sum(values), sum(value * value for value in values))


def test_a_sample_of_sums_has_the_textbook_variance() -> None:
    values = [0.0, 0.0, 1.0, 4.0, 10.5]
    assert sample(values).variance == pytest.approx(statistics.variance(values))
    assert Sample.of_sums(0, 0, 0) == Sample(0, 0.0, 0.0)
    assert Sample.of_sums(1, 5, 25) == Sample(1, 5.0, 0.0)


def test_groups_of_one_or_of_nothing_prove_nothing() -> None:
    assert means(Sample(1, 5, 0), Sample(100, 1, 2)) == 1
    assert means(Sample(9, 5, 0), Sample(9, 5, 0)) == 1
    assert means(Sample(9, 5, 0), Sample(9, 6, 0)) == 0
    assert two_proportions(0, 0, 5, 9) == 1


def test_many_questions_are_paid_for() -> None:
    assert corrected([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert corrected([]) == []
    assert corrected([0.5, 0.9]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), max_size=12))
def test_a_correction_never_helps_and_keeps_the_order(p_values: list[float]) -> None:
    adjusted = corrected(p_values)
    assert all(before <= after <= 1 for before, after in zip(p_values, adjusted, strict=True))
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    assert all(adjusted[a] <= adjusted[b] for a, b in pairwise(order))


def test_intervals_hold_what_they_promise() -> None:
    low, high = interval(20, 100)
    assert (round(low, 4), round(high, 4)) == (0.1334, 0.2888)  # Wilson's, as in any table
    assert interval(0, 0) == (0, 1)
    assert interval(0, 10)[0] == 0
    assert interval(10, 10)[1] == 1


def test_deviates() -> None:
    assert from_z(0) == 1
    assert from_z(1.959964) == pytest.approx(0.05, abs=1e-6) == from_z(-1.959964)


def test_a_correction_spends_its_risk_by_weight() -> None:
    assert corrected([0.001, 0.2], [0.8, 0.2]) == pytest.approx([0.00125, 0.2])
    assert corrected([0.01, 0.04, 0.03], [2.0, 2.0, 2.0]) == pytest.approx(corrected([0.01, 0.04, 0.03]))


def test_a_difference_that_can_be_told_is_told_four_times_out_of_five() -> None:
    rng = random.Random(3)  # noqa: S311 -- repeatable draws, no secrets
    difference = detectable(0.5, 300, 200, sure=0.01)
    told = 0
    for _ in range(400):
        a = sum(rng.random() < 0.5 + 0.4 * difference for _ in range(300))
        b = sum(rng.random() < 0.5 - 0.6 * difference for _ in range(200))
        told += two_proportions(a, 300, b, 200) < 0.01
    assert 0.74 < told / 400 < 0.88

"""Falls of an event: found where they were planted, and nowhere else."""

import random
from collections.abc import Callable, Sequence
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mp_mcp_server.analysis.drop import Drop, Segment, find_drop, rivals, twins, worth_splitting

FIRST = date(2025, 5, 5)  # a Monday
DAYS = [FIRST + timedelta(days=number) for number in range(42)]
FALLS_AT = 25
WEEKEND = 0.7

Rate = Callable[[int], float]


def noisy(rate: Rate, rng: random.Random) -> tuple[int, ...]:
    """About so many a day, with the spread that counts have."""
    return tuple(max(0, round(rng.gauss(rate(at), rate(at) ** 0.5))) for at in range(len(DAYS)))


def weekly(level: float) -> Rate:
    return lambda at: level * (WEEKEND if DAYS[at].weekday() >= 5 else 1)


def falling(level: float, left: float, at: int = FALLS_AT) -> Rate:
    return lambda day: weekly(level)(day) * (left if day >= at else 1)


def shop(seed: int, **rates: Rate) -> tuple[list[int], list[Segment]]:
    """An event's counts: what its segments, which leave nothing over, add up to."""
    rng = random.Random(seed)  # noqa: S311 -- repeatable draws, no secrets
    segments = [Segment((("$os", name),), noisy(rate, rng)) for name, rate in rates.items()]
    total = [sum(segment.counts[at] for segment in segments) for at in range(len(DAYS))]
    return total, segments


def found(total: Sequence[int], segments: Sequence[Segment], asked: int = FALLS_AT) -> Drop:
    drop = find_drop(DAYS, total, segments, asked=DAYS[asked])
    assert drop is not None
    return drop


@pytest.mark.parametrize("off", range(-3, 4))
@pytest.mark.parametrize("seed", range(5))
def test_a_planted_fall_is_found_whichever_day_near_it_is_asked_about(seed: int, off: int) -> None:
    total, segments = shop(seed, ios=falling(40, 0.2), android=weekly(60), web=weekly(30))
    drop = found(total, segments, FALLS_AT + off)
    assert drop.confirmed
    assert drop.day == DAYS[FALLS_AT]
    assert drop.size == pytest.approx(32 / 130, abs=0.06)
    assert drop.drivers[0].conditions == (("$os", "ios"),)
    assert drop.drivers[0].contribution == pytest.approx(1, abs=0.25)
    assert drop.drivers[0].fall == pytest.approx(0.8, abs=0.1)


@pytest.mark.parametrize("seed", range(20))
def test_a_shop_to_which_nothing_happens_has_no_fall_on_any_day(seed: int) -> None:
    total, segments = shop(seed, ios=weekly(40), android=weekly(60), web=weekly(30))
    assert not any(found(total, segments, asked).confirmed for asked in range(8, len(DAYS)))


def test_a_weekend_is_no_fall() -> None:
    total, segments = shop(1, ios=weekly(400), android=weekly(600))
    saturday = next(at for at in range(20, 27) if DAYS[at].weekday() == 5)
    assert total[saturday] < 0.8 * total[saturday - 1]
    assert not found(total, segments, saturday).confirmed


def test_a_tiny_segment_that_dies_is_not_the_answer() -> None:
    total, segments = shop(2, ios=falling(40, 0.2), android=weekly(60), tiny=falling(2, 0.0, FALLS_AT - 9))
    assert found(total, segments).drivers[0].conditions == (("$os", "ios"),)
    assert not found(total, segments, FALLS_AT - 9).confirmed


def test_a_fall_elsewhere_is_told_and_not_confirmed() -> None:
    total, segments = shop(3, ios=falling(40, 0.2), android=weekly(60))
    drop = found(total, segments, FALLS_AT - 10)
    assert not drop.confirmed
    assert drop.day == DAYS[FALLS_AT]


def test_a_fall_of_everybody_has_a_day_and_no_driver() -> None:
    total, segments = shop(4, ios=falling(200, 0.7), android=falling(300, 0.7))
    drop = found(total, segments)
    assert drop.confirmed
    assert drop.day == DAYS[FALLS_AT]
    assert drop.size == pytest.approx(0.3, abs=0.05)
    assert not drop.drivers


def test_growth_is_no_fall() -> None:
    total, segments = shop(5, ios=falling(40, 2.0), android=weekly(60))
    drop = found(total, segments)
    assert not drop.confirmed


def test_an_event_that_ends_is_found() -> None:
    total, segments = shop(6, ios=falling(40, 0.0), android=falling(60, 0.0))
    drop = found(total, segments)
    assert (drop.confirmed, drop.day, drop.size) == (True, DAYS[FALLS_AT], 1.0)


def test_an_event_that_ended_yesterday_is_found() -> None:
    rng = random.Random(7)  # noqa: S311 -- repeatable draws, no secrets
    total = [*noisy(weekly(200), rng)[:-1], 0]
    drop = find_drop(DAYS, total, [], asked=DAYS[-1])
    assert drop is not None
    assert (drop.confirmed, drop.day) == (True, DAYS[-1])


def test_two_properties_narrow_the_answer_down() -> None:
    total, parts = shop(8, safari=falling(30, 0.1), chrome=weekly(12), android=weekly(80))
    ios = tuple(a + b for a, b in zip(parts[0].counts, parts[1].counts, strict=True))
    singles = [Segment((("$os", "iOS"),), ios), Segment((("$os", "Android"),), parts[2].counts)]
    first = found(total, singles)
    split = worth_splitting(first, ["$os", "$browser", "$city", "$browser"])
    assert split is not None
    assert split[0].conditions == (("$os", "iOS"),)
    assert split[1] == ("$browser", "$city")
    pairs = [
        Segment((("$os", "iOS"), ("$browser", "Safari")), parts[0].counts),
        Segment((("$os", "iOS"), ("$browser", "Chrome")), parts[1].counts),
    ]
    drop = found(total, [*singles, *pairs])
    assert drop.drivers[0].conditions == (("$os", "iOS"), ("$browser", "Safari"))
    assert worth_splitting(drop, ["$os", "$browser"]) is None
    assert all(len(driver.conditions) == 1 or driver is drop.drivers[0] for driver in drop.drivers)


def test_of_two_names_of_the_same_users_the_first_given_is_told() -> None:
    total, segments = shop(9, ios=falling(40, 0.2), android=weekly(60))
    twin = Segment((("mp_lib", "swift"),), segments[0].counts)
    assert found(total, [*segments, twin]).drivers[0].conditions == (("$os", "ios"),)
    assert found(total, [twin, *segments]).drivers[0].conditions == (("mp_lib", "swift"),)


def test_a_name_of_the_same_users_is_neither_a_second_factor_nor_worth_a_question() -> None:
    total, segments = shop(11, ios=falling(40, 0.2), android=weekly(60))
    swift = Segment((("mp_lib", "swift"),), segments[0].counts)
    drop = found(total, [*segments, swift])
    assert [driver.conditions for driver in drop.drivers] == [(("$os", "ios"),)]
    assert twins(drop.drivers[0], [*segments, swift]) == {"$os", "mp_lib"}


def test_two_segments_that_lose_apart_are_both_told() -> None:
    total, segments = shop(12, ios=falling(60, 0.3), linux=falling(50, 0.3), android=weekly(300))
    assert {driver.conditions[0][1] for driver in found(total, segments).drivers} == {"ios", "linux"}


def test_what_may_be_the_answer_as_well_is_named_once_and_without_twins() -> None:
    total, parts = shop(13, iphone=falling(40, 0.2), ipad=falling(12, 0.2), android=weekly(80))
    ios = tuple(a + b for a, b in zip(parts[0].counts, parts[1].counts, strict=True))
    singles = [
        Segment((("$device", "iPhone"),), parts[0].counts),
        Segment((("$device", "iPad"),), parts[1].counts),
        Segment((("$os", "iOS"),), ios),
        Segment((("mp_lib", "swift"),), ios),
        Segment((("plan", "pro"),), tuple(count // 2 for count in total)),
    ]
    drop = found(total, singles)
    phone = next(iter(found(total, singles[:1]).drivers))
    assert phone.conditions == (("$device", "iPhone"),)
    near = rivals(phone, DAYS.index(drop.day), total, singles)
    assert [segment.conditions[0] for segment in near] == [("$os", "iOS"), ("mp_lib", "swift")]


def test_too_little_to_say_anything() -> None:
    assert find_drop(DAYS[:7], [5] * 7, [], asked=DAYS[0]) is None
    assert find_drop(DAYS, [0] * len(DAYS), [], asked=DAYS[9]) is None


def test_the_spans_are_whole_weeks_where_there_are_any() -> None:
    total, segments = shop(10, ios=falling(40, 0.2), android=weekly(60))
    drop = found(total, segments)
    assert drop.baseline == (DAYS[FALLS_AT - 21], DAYS[FALLS_AT - 1])
    assert drop.since == (DAYS[FALLS_AT], DAYS[FALLS_AT + 13])
    assert drop.before == pytest.approx(sum(total[FALLS_AT - 21 : FALLS_AT]) / 21)
    assert drop.after == pytest.approx(sum(total[FALLS_AT : FALLS_AT + 14]) / 14)


def test_days_before_the_first_event_are_no_rise() -> None:
    total, segments = shop(3, ios=falling(40, 0.2), android=weekly(60), web=weekly(30))
    began = 12
    late = [0] * began + total[began:]
    parts = [Segment(one.conditions, (*[0] * began, *one.counts[began:])) for one in segments]
    drop = found(late, parts)
    assert (drop.confirmed, drop.day) == (True, DAYS[FALLS_AT])
    assert drop.baseline[0] >= DAYS[began]


def test_where_all_days_are_calm_the_whole_says_when_though_the_segment_does_not() -> None:
    # The segment had a poor day by luck just before; the event as a whole, which hardly varies, knows better.
    calm = [round(weekly(60)(at)) for at in range(len(DAYS))]
    lost = [12 if at >= FALLS_AT else 0 for at in range(len(DAYS))]
    ios = tuple(3 if at >= FALLS_AT else 5 if at == FALLS_AT - 1 else 15 for at in range(len(DAYS)))
    total = [all_ - gone for all_, gone in zip(calm, lost, strict=True)]
    drop = found(total, [Segment((("$os", "ios"),), ios)], FALLS_AT + 3)
    assert (drop.confirmed, drop.day) == (True, DAYS[FALLS_AT])


def test_what_is_not_sure_may_be_proved_by_a_part_of_it() -> None:
    total, parts = shop(14, safari=falling(11, 0.1), chrome=weekly(25), android=weekly(20))
    ios = tuple(a + b for a, b in zip(parts[0].counts, parts[1].counts, strict=True))
    singles = [Segment((("$os", "iOS"),), ios), Segment((("$os", "Android"),), parts[2].counts)]
    singles += [Segment((("city", str(at)),), tuple(count // 40 for count in total)) for at in range(2000)]
    first = found(total, singles)
    assert not first.drivers
    split = worth_splitting(first, ["$os", "$browser"])
    assert split is not None
    assert split[0].conditions == (("$os", "iOS"),)
    pair = Segment((("$os", "iOS"), ("$browser", "Safari")), parts[0].counts)
    drop = found(total, [*singles, pair])
    assert (drop.confirmed, drop.drivers[0].conditions) == (True, pair.conditions)


@pytest.mark.parametrize("seed", range(10))
def test_nothing_is_suspected_where_nothing_fell(seed: int) -> None:
    total, segments = shop(seed, ios=weekly(40), android=weekly(60), web=weekly(30))
    drop = found(total, segments)
    assert drop.suspect is None or drop.size >= 0.05


counts = st.lists(st.integers(0, 10_000), min_size=8, max_size=42)


@settings(max_examples=50, deadline=None)
@given(counts, st.data())
def test_whatever_the_counts_are_the_finding_is_sound(total: list[int], data: st.DataObject) -> None:
    parts = [tuple(data.draw(st.integers(0, count)) for count in total) for _ in range(2)]
    segments = [Segment((("p", str(number)),), part) for number, part in enumerate(parts)]
    asked = data.draw(st.sampled_from(DAYS))
    drop = find_drop(DAYS[: len(total)], total, segments, asked=asked)
    if drop is None:
        assert not any(total[:-7])  # it never happened, or began this week
        return
    assert 0 <= drop.p_value <= 1
    assert drop.size <= 1
    assert not drop.confirmed or (drop.size >= 0.05 and abs((drop.day - asked).days) <= 3)
    assert all(0 <= driver.p_value < 0.001 and driver.after <= driver.before for driver in drop.drivers)

"""What `up` decides, over every situation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import HarnessError
from harness.stack.plan import Condition, Deed, in_order, plan_up
from harness.stack.services import SERVICES, Service, for_target

NAMES = ("a", "b", "c", "d", "e")


@st.composite
def stacks(draw: st.DrawFn) -> tuple[Service, ...]:
    """Services that need any of those before them, listed in any order."""
    made = [
        Service(
            name=name,
            purpose="",
            targets=frozenset({"emulator"}),
            needs=tuple(draw(st.sets(st.sampled_from(NAMES[:at])))) if at else (),
            port=lambda _: 1,
            port_setting="",
            command=lambda _: (),
            environment=lambda _: {},
            program=name,
            path="",
            health="",
            about=None,
            ladder=(),
            start_deadline_s=1.0,
        )
        for at, name in enumerate(NAMES)
    ]
    return tuple(draw(st.permutations(made)))


CONDITIONS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(Condition))
WANTED = st.sets(st.sampled_from(NAMES))


@given(stacks(), WANTED, CONDITIONS)
def test_nothing_starts_before_what_it_needs(
    services: tuple[Service, ...], wanted: set[str], found: dict[str, Condition]
) -> None:
    done: set[str] = set()
    for step in plan_up(services, wanted, found):
        assert set(step.service.needs) <= done
        done.add(step.service.name)


@given(stacks(), WANTED, CONDITIONS)
def test_what_lives_is_never_started_and_what_does_not_always_is(
    services: tuple[Service, ...], wanted: set[str], found: dict[str, Condition]
) -> None:
    for step in plan_up(services, wanted, found):
        lives = found.get(step.service.name) in (Condition.UP, Condition.STARTING, Condition.ELSEWHERE)
        assert (step.deed is Deed.START) == (not lives)
        assert (step.deed is Deed.KEEP) == (found.get(step.service.name) is Condition.UP)


@given(stacks(), WANTED)
def test_all_that_is_wanted_is_planned_once_and_nothing_that_nobody_needs(
    services: tuple[Service, ...], wanted: set[str]
) -> None:
    planned = [step.service.name for step in plan_up(services, wanted, {})]
    assert len(planned) == len(set(planned))
    assert (wanted or set(NAMES)) <= set(planned)
    needed = {need for service in services if service.name in planned for need in service.needs}
    assert set(planned) <= (wanted or set(NAMES)) | needed


def test_the_catalogue_can_be_ordered_for_each_target() -> None:
    assert in_order(for_target(SERVICES, "emulator")) == ["emulator", "mcp", "copilot", "nginx"]
    assert in_order(for_target(SERVICES, "live")) == ["mcp", "copilot", "nginx"]


def test_a_service_of_another_target_is_refused() -> None:
    with pytest.raises(HarnessError, match="no service 'emulator'"):
        plan_up(for_target(SERVICES, "live"), ["emulator"], {})

"""What a start waited for, told from when each service got where."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stack import timing
from harness.stack.timing import Spell, Timing, critical_chain
from tests.support.standin import standin


def spell(begun: float, ready: float, *after: str) -> Spell:
    return Spell(waited_for=after, begun_s=begun, spawned_s=begun, rungs={"socket": ready}, ready_s=ready)


def test_the_chain_leads_through_whoever_held_each_one_up() -> None:
    services = {
        "a": spell(0.1, 1.0),
        "b": spell(0.1, 2.0),
        "c": spell(2.0, 2.5, "a", "b"),
        "d": spell(0.1, 0.3),
        "e": spell(2.5, 4.0, "c", "d"),
    }
    chain = critical_chain(services)
    assert [(link.service, link.after) for link in chain] == [("b", None), ("c", "b"), ("e", "c")]
    found = timing.to_dict(Timing(started_at="2025-06-30T00:00:00+00:00", took_s=4.2, services=services))
    assert found["between_s"] == pytest.approx(4.2 - 1.9 - 0.5 - 1.5)
    said = timing.text(Timing(started_at="2025-06-30T00:00:00+00:00", took_s=4.2, services=services))
    assert "chain     b 1.90 → c 0.50 → e 1.50; between them 0.30; in all 4.20" in said


def test_a_start_that_did_not_get_there_has_the_chain_of_what_did() -> None:
    services = {"a": spell(0.0, 1.0), "b": Spell(waited_for=("a",), begun_s=1.0)}
    assert [link.service for link in critical_chain(services)] == ["a"]
    assert critical_chain({"a": Spell()}) == ()
    assert "not finished" in timing.text(Timing(started_at="2025-06-30T00:00:00+00:00", services=services))


@given(st.lists(st.floats(0.01, 5.0), min_size=1, max_size=6), st.data())
def test_no_service_of_the_chain_begins_before_the_one_that_it_waited_for_was_ready(
    lengths: list[float], data: st.DataObject
) -> None:
    services: dict[str, Spell] = {}
    for at, length in enumerate(lengths):
        after = tuple(data.draw(st.sets(st.sampled_from(sorted(services)))) if services else ())
        begun = max((services[name].ready_s or 0.0 for name in after), default=0.0)
        services[f"s{at}"] = spell(begun, begun + length, *after)
    chain = critical_chain(services)
    assert chain[-1].to_s == max(each.ready_s or 0.0 for each in services.values())
    assert chain[0].from_s == 0.0
    for before, link in itertools.pairwise(chain):
        assert link.after == before.service
        assert link.from_s == before.to_s


def test_independent_services_start_at_once_and_status_shows_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    with standin(tmp_path_factory.mktemp("stack"), "emulator,mcp,copilot,nginx") as stack:
        # So slow that the front door is ready before, also where the machine is busy.
        slow = {"STANDIN_EMULATOR": "--slow 2", "STANDIN_MCP": "--slow 1"}
        up = stack.run("up", "--json", **slow)
        assert up.code == 0, up.err
        found = stack.run("status", "--timing", "--json").json()["timing"]
        spells = found["services"]
        assert spells["nginx"]["waited_for"] == [], "the front door waits for nobody"
        assert spells["nginx"]["begun_s"] < spells["emulator"]["ready_s"]
        assert spells["mcp"]["begun_s"] >= spells["emulator"]["ready_s"] >= 2
        assert list(spells["mcp"]["rungs"]) == ["socket", "health", "initialize", "tools", "call"]
        assert [link["service"] for link in found["critical_chain"]] == ["emulator", "mcp", "copilot"]
        assert found["took_s"] >= spells["copilot"]["ready_s"]
        text = stack.run("status", "--timing").out
        assert "chain     emulator " in text
        restarted = stack.run("restart", "mcp", "--json")
        assert restarted.code == 0, restarted.err
        again = stack.run("status", "--timing", "--json").json()["timing"]
        assert list(again["services"]) == ["mcp"], "of the last start only"

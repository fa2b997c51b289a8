"""`kill -9` of the harness at every fault point, and of each process of a stack: the next `down` leaves nothing.

Four services: three stand-ins and a real nginx. Each scenario is drawn from a seed and may hold several kills.
"""

import ast
import os
import random
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from harness.faultpoints import POINTS
from tests.support import real_nginx
from tests.support.ports import free_port
from tests.support.repository import ROOT
from tests.support.standin import StandIn, standin, wait_until

SERVICES = ("emulator", "mcp", "copilot", "nginx")
UP = [point for point in POINTS if point.startswith("up.")]
DOWN = [point for point in POINTS if point.startswith("down.")]
TIMES = {"up.spawned": 4, "up.recorded": 4, "up.answered": 4, "up.ready": 4, "down.signalled": 4, "down.ended": 4}
"""How often a point is passed at most where it is passed once a service."""
EVERY = [f"{point}:{time}" for point in (*UP, *DOWN) for time in range(1, TIMES.get(point, 1) + 1)]
SOAK_BATCHES, BATCH = 40, 50


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[StandIn]:
    with standin(tmp_path, ",".join(SERVICES)) as made:
        yield made


def reached(names: list[str]) -> list[str]:
    """The points that the code passes by a name of its own."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "harness").rglob("*.py"))
    nodes = (node for tree in trees for node in ast.walk(tree))
    return [str(node.value) for node in nodes if isinstance(node, ast.Constant) and node.value in names]


def test_every_point_is_passed_somewhere() -> None:
    # Once where it is listed, and once where it is passed.
    found = reached([*UP, *DOWN])
    assert {point: found.count(point) for point in (*UP, *DOWN)} == dict.fromkeys((*UP, *DOWN), 2)


def put_right(stack: StandIn) -> None:
    """`down` as often as a user would type it: once."""
    down = stack.run("down", "--json")
    assert down.code in (0, 7), down.err
    assert stack.is_empty()
    assert stack.leftovers() == []


def victims(stack: StandIn) -> list[int]:
    """All processes that belong to the stack now, keepers and nginx's workers among them."""
    return sorted(who.pid for who in stack.living())


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("point", [f"{point}:{TIMES.get(point, 1)}" for point in UP])
def test_an_up_killed_anywhere_is_put_right(stack: StandIn, point: str) -> None:
    killed = stack.killed(point, "up")
    assert killed.code == -signal.SIGKILL, killed.err
    put_right(stack)


@pytest.mark.parametrize("point", ["up.spawned:1", "up.recorded:2", "up.answered:1"])
def test_an_up_killed_anywhere_is_finished_by_the_next(stack: StandIn, point: str) -> None:
    assert stack.killed(point, "up").code == -signal.SIGKILL
    up = stack.run("up", "--json")
    assert up.code == 0, up.err
    assert stack.run("status").code == 0
    put_right(stack)


def test_a_down_killed_anywhere_is_finished_by_the_next(stack: StandIn) -> None:
    for point in DOWN:
        assert stack.run("up", "mcp", "--json").code == 0
        assert stack.killed(point, "down").code == -signal.SIGKILL
        put_right(stack)


def test_an_nginx_that_lost_its_master_is_found_and_ended(stack: StandIn) -> None:
    assert stack.run("up", "--json").code == 0
    kill(stack.stack.members["nginx"].keeper.pid)
    kill(stack.pid("nginx"))
    wait_until(lambda: stack.run("status", "--json").code == 1, "the master's end is seen")
    (stack.state.path / "stack.json").unlink()
    assert victims(stack), "its worker lives on, and nothing is written down of it"
    put_right(stack)


def test_a_state_directory_that_is_gone_hides_nobody(stack: StandIn) -> None:
    assert stack.run("up", "--json").code == 0
    kill(stack.stack.members["nginx"].keeper.pid)
    kill(stack.pid("nginx"))
    shutil.rmtree(stack.state.path)
    down = stack.run("down", "--json")
    assert down.code == 0, down.err
    assert down.json()["strays"] >= 7, "three services with their keepers, and a worker of nginx"
    assert stack.is_empty()


def test_each_process_of_a_stack_may_be_killed_and_the_next_up_mends_it(stack: StandIn) -> None:
    assert stack.run("up", "--json").code == 0
    roles = [(name, role) for name in SERVICES for role in ("process", "keeper")]
    for name, role in roles:
        who = getattr(stack.stack.members[name], role)
        kill(who.pid)
        wait_until(lambda who=who: not who.is_alive(), f"the end of {name}'s {role}")  # type: ignore[misc]  # bound early
        up = stack.run("up", "--json")
        assert up.code == 0, up.err
        deeds = {each["name"]: each["deed"] for each in up.json()["services"]}
        assert deeds == dict.fromkeys(SERVICES, "keep") | ({name: "start"} if role == "process" else {})
    put_right(stack)


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_is_killed_whenever_down_leaves_nothing(stack: StandIn, seed: int) -> None:
    scenario(stack, random.Random(seed))  # noqa: S311 - to be repeated, not to be secret


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("batch", range(SOAK_BATCHES))
def test_whatever_is_killed_whenever_down_leaves_nothing_many_times(stack: StandIn, batch: int) -> None:
    for number in range(BATCH):
        scenario(stack, random.Random(1000 + batch * BATCH + number))  # noqa: S311 - the same


SITE = (
    b"server {\n    listen 127.0.0.1:%d;\n    location / { proxy_pass http://192.168.49.2:30082; } # of a cluster\n}\n"
)


@pytest.mark.parametrize("point", ["nginx.switch.put", "nginx.switch.closed", "nginx.restore.put"])
def test_a_switched_site_is_as_before_after_down(stack: StandIn, tmp_path: Path, point: str) -> None:
    content = SITE % free_port()
    with real_nginx.configuration(tmp_path / "etc") as system:
        site = system.directory / "sites-enabled" / "spark"
        site.write_bytes(content)
        system.start()
        assert stack.run("up", "--json").code == 0
        switch = ("nginx", "switch", "--site", str(site), "--to", f"127.0.0.1:{stack.copilot_port}")
        if point.startswith("nginx.switch."):
            assert stack.killed(point, *switch).code == -signal.SIGKILL
        else:
            assert stack.run(*switch).code == 0
            assert site.read_bytes() != content
            assert stack.killed(point, "down").code == -signal.SIGKILL
        down = stack.run("down", "--json")
        assert down.code == 0, down.err
        assert site.read_bytes() == content
        assert stack.is_empty()
        assert [path.name for path in site.parent.iterdir()] == ["spark"]


def test_a_site_that_somebody_else_changed_is_left_alone_and_down_says_so_with_8(
    stack: StandIn, tmp_path: Path
) -> None:
    with real_nginx.configuration(tmp_path / "etc") as system:
        site = system.directory / "sites-enabled" / "spark"
        site.write_bytes(SITE % free_port())
        system.start()
        assert stack.run("up", "--json").code == 0
        switched = stack.run("nginx", "switch", "--site", str(site), "--to", f"127.0.0.1:{stack.copilot_port}")
        assert switched.code == 0, switched.err
        theirs = site.read_bytes() + b"# mine\n"
        site.write_bytes(theirs)
        down = stack.run("down", "--json")
        assert down.code == 8
        assert "nginx" in down.error()["fix"]
        assert site.read_bytes() == theirs
        assert stack.is_empty()
        assert stack.run("down").code == 8, "and says so again, until it is settled"


def scenario(stack: StandIn, choice: random.Random) -> None:
    """A few commands, each of which may be killed at a point, and a few kills among what runs in between."""
    told = []
    for _ in range(choice.randint(1, 3)):
        words = choice.choice((["up"], ["up", "--fresh"], ["restart"], ["up", "mcp"], ["down"]))
        point = choice.choice((*EVERY, None))
        told.append(f"{' '.join(words)} at {point}")
        if point is None:
            stack.run(*words)
        else:
            stack.killed(point, *words)
        living = victims(stack)
        for pid in choice.sample(living, min(len(living), choice.randint(0, 3))):
            told.append(f"kill {pid}")
            kill(pid)
        if choice.random() < 0.2:
            told.append("state lost")
            (stack.state.path / "stack.json").unlink(missing_ok=True)
    try:
        put_right(stack)
    except AssertionError as error:
        raise AssertionError("; ".join(told)) from error

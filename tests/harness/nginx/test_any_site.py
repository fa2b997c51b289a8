"""Whatever the site files and whatever the moment of a kill: after restore they are what they were, or left alone."""

import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.faultpoints import POINTS
from tests.support.ports import free_port
from tests.support.real_nginx import BINARY, Configuration, configuration, get_json, upstream
from tests.support.switching import Switching, switching

SWITCH = [None, *(f"{point}{time}" for point in POINTS if point.startswith("nginx.switch.") for time in ("", ":2"))]
RESTORE = [None, *(f"{point}{time}" for point in POINTS if point.startswith("nginx.restore.") for time in ("", ":2"))]
SPOT = b"\0"
"""Stands in a generated file where requests are sent on to minikube."""

NEWLINE = st.sampled_from([b"\n", b"\r\n", b"\n\n", b" \r\n\t"])
GAP = st.sampled_from([b" ", b"\t", b"  ", b"\n", b"\r\n    ", b" # {minikube};}\n"])
COMMENT = st.sampled_from(
    [
        b"# {minikube}\n",
        "# die alte Adresse: {minikube} – ändern\n".encode(),
        "# caf\xe9 \xa0 {minikube}\n".encode("latin-1"),
        b"#\r\n",
        b"# proxy_pass http://{minikube};\r\n",
        b"",
    ]
)
QUOTE = st.sampled_from([b"", b'"', b"'"])


@dataclass
class Files:
    """A site and what it includes.

    content: path below the configuration directory → bytes, with SPOT where an address is to change
    links: path → the file that stands there as a symbolic link
    """

    port: int
    content: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def with_address(self, path: str, address: str, minikube: str) -> bytes:
        return self.content[path].replace(SPOT, address.encode()).replace(b"{minikube}", minikube.encode())


@st.composite
def upstream_block(draw: st.DrawFn, name: bytes) -> bytes:
    source = draw(COMMENT) + b"upstream" + draw(GAP) + name + draw(GAP) + b"{" + draw(NEWLINE)
    for _ in range(draw(st.integers(1, 3))):
        quote = draw(QUOTE)
        more = draw(st.sampled_from([b"", b" weight=2", b" backup", b"\tmax_fails=0 fail_timeout=3s"]))
        # nginx wants one that is no backup.
        source += b"server" + draw(GAP) + quote + SPOT + quote + more + b";" + draw(COMMENT)
    source += b"server" + draw(GAP) + draw(st.sampled_from([SPOT, b"10.9.8.7:30082 down", SPOT + b" weight=9"])) + b";"
    return source + draw(NEWLINE) + b"}" + draw(NEWLINE)


@st.composite
def passing(draw: st.DrawFn, upstreams: list[bytes], number: int) -> bytes:
    """A location that sends requests on, in one of the ways there are."""
    quote = draw(QUOTE)
    # In a quoted word and in a comment may stand what looks like the end of something.
    where = draw(
        st.sampled_from([b"/p%d" % number, b"= /e%d" % number, b"^~ /x%d/" % number, b'~ "^/r%d{2}"' % number])
    )
    uri = b"" if where.startswith(b"~") else draw(st.sampled_from([b"", b"/", b"/a?b={minikube}", b"$request_uri"]))
    to = draw(st.sampled_from([SPOT, SPOT, *upstreams]))
    variable = b"$v%d" % number
    way = draw(st.sampled_from(["plain", "plain", "set", "elsewhere"]))
    inside = {
        "plain": b"proxy_pass" + draw(GAP) + quote + b"http://" + to + uri + quote,
        "set": b"set " + variable + draw(GAP) + quote + SPOT + quote + b"; proxy_pass http://" + variable + b"/z",
        "elsewhere": b"proxy_pass http://10.1.2.3:30082" + uri,
    }[way]
    return b"location " + where + draw(GAP) + b"{" + draw(COMMENT) + inside + draw(GAP) + b";" + draw(NEWLINE) + b"}"


@st.composite
def files(draw: st.DrawFn) -> Files:
    made = Files(free_port())
    names = [b"spark", b"b.example_1"][: draw(st.integers(1, 2))]
    upstreams = b"".join(draw(upstream_block(name)) for name in names)
    locations = [draw(passing(names, number)) for number in range(draw(st.integers(1, 4)))]
    # Whatever else is drawn, the front page leads to the first upstream.
    server = b"server" + draw(GAP) + b"{ listen 127.0.0.1:%d; server_name spark.local;" % made.port + draw(NEWLINE)
    server += b"location / { proxy_pass http://spark; }" + draw(COMMENT)
    if draw(st.booleans()):
        made.content["snippets/deep/locations.conf"] = draw(NEWLINE).join(locations)
        server += b"include snippets/*/locations.conf;"
    else:
        server += draw(NEWLINE).join(locations)
    server += draw(NEWLINE) + b"}"
    if draw(st.booleans()):
        made.content["snippets/up-1.conf"] = upstreams
        site = b"include" + draw(GAP) + b"snippets/up-?.conf;" + draw(COMMENT) + server
    else:
        site = upstreams + server
    site += b"".join(draw(st.lists(COMMENT, max_size=2)))
    if draw(st.integers(0, 9)) == 0:
        site = b"# {minikube} and much more, line after line, as in a map that a program wrote\n" * 4000 + site
    site += draw(st.sampled_from([b"", b"\n", b"\r\n", b"  # the end"]))
    if draw(st.booleans()):
        made.content["sites-available/spark"] = site
        made.links["sites-enabled/spark"] = "../sites-available/spark"
    else:
        made.content["sites-enabled/spark"] = site
    return made


@pytest.fixture(scope="module")
def addresses() -> Iterator[tuple[str, str]]:
    with upstream("minikube") as minikube, upstream("copilot") as copilot:
        yield f"127.0.0.1:{minikube}", f"127.0.0.1:{copilot}"


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Configuration]:
    with configuration(tmp_path_factory.mktemp("nginx")) as made:
        yield made


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Switching]:
    with switching(tmp_path_factory.mktemp("state"), BINARY) as made:
        yield made


def lay_out(made: Files, nginx: Configuration, minikube: str) -> None:
    for folder in ("sites-available", "sites-enabled", "snippets"):
        shutil.rmtree(nginx.directory / folder, ignore_errors=True)
        (nginx.directory / folder).mkdir()
    for path in made.content:
        (nginx.directory / path).parent.mkdir(exist_ok=True)
        (nginx.directory / path).write_bytes(made.with_address(path, minikube, minikube))
    for path, to in made.links.items():
        (nginx.directory / path).symlink_to(to)


def seen(nginx: Configuration) -> dict[str, object]:
    """Everything below the configuration directory that a switch could leave a mark on."""
    found: dict[str, object] = {}
    for folder in ("sites-available", "sites-enabled", "snippets"):
        for path in sorted((nginx.directory / folder).rglob("*")):
            status = path.lstat()
            name = str(path.relative_to(nginx.directory))
            if path.is_symlink():
                found[name] = path.readlink()
            elif path.is_file():
                found[name] = (path.read_bytes(), stat.S_IMODE(status.st_mode), status.st_uid, status.st_mtime_ns)
    return found


def contents(nginx: Configuration, made: Files) -> dict[str, bytes]:
    return {path: (nginx.directory / path).read_bytes() for path in made.content}


def check(
    made: Files, nginx: Configuration, harness: Switching, addresses: tuple[str, str], faults: tuple[str | None, ...],
    meddled: int | None,
) -> None:  # fmt: skip
    minikube, copilot = addresses
    # A try that failed before must not fail the next one too.
    shutil.rmtree(harness.state / "nginx-switch", ignore_errors=True)
    lay_out(made, nginx, minikube)
    if nginx.started:
        nginx.stop()
        nginx.start()
    before = seen(nginx)
    old = {path: made.with_address(path, minikube, minikube) for path in made.content}
    new = {path: made.with_address(path, copilot, minikube) for path in made.content}
    switched = harness.switch(nginx.directory / "sites-enabled/spark", copilot, source=minikube, fault=faults[0])
    assert switched.error is None
    now = contents(nginx, made)
    if switched.done:
        assert now == new
        assert set(switched.done["files"]) == {str(nginx.directory / path) for path in new if new[path] != old[path]}
    assert all(now[path] in (old[path], new[path]) for path in now)
    if nginx.started and switched.done:
        assert get_json(made.port, "/1", "spark.local")["name"] == "copilot"
    if meddled is not None:
        path = sorted(made.content)[meddled % len(made.content)]
        (nginx.directory / path).write_bytes(now[path] + b"\n# somebody else's\n")
        found = contents(nginx, made)
        refused = harness.restore(fault=faults[1])
        if refused.error:
            assert refused.error["exit_code"] == 5
        after = contents(nginx, made)
        # A file without an address, or one of a switch that came to nothing, was never ours.
        assert after[path] == found[path]
        if refused.error:
            assert after == found
        (nginx.directory / path).write_bytes(now[path] if refused.error or refused.killed else after[path])
        if not refused.error and not refused.killed:
            harness.restore()
            return
        before = {name: value if name != path else None for name, value in before.items()}
    if harness.restore(fault=faults[1]).killed:
        harness.restore(fault=faults[2])
    last = harness.restore()
    assert last.error is None, last.error
    assert contents(nginx, made) == old
    left = seen(nginx)
    assert set(left) == set(before)
    assert all(before[name] in (None, left[name]) for name in before)
    assert [path.name for path in (harness.state / "nginx-switch").iterdir()] == ["lock"]


FAULTS = st.tuples(st.sampled_from(SWITCH), st.sampled_from(RESTORE), st.sampled_from(RESTORE))
MEDDLED = st.one_of(st.none(), st.none(), st.integers(0, 3))
PLAIN = settings(
    deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@settings(PLAIN, max_examples=40, derandomize=True)
@given(made=files(), faults=FAULTS, meddled=MEDDLED)
def test_any_site_is_what_it_was(
    nginx: Configuration, harness: Switching, addresses: tuple[str, str], made: Files,
    faults: tuple[str | None, ...], meddled: int | None,
) -> None:  # fmt: skip
    check(made, nginx, harness, addresses, faults, meddled)


@pytest.mark.soak
@settings(PLAIN, max_examples=1500)
@given(made=files(), faults=FAULTS, meddled=MEDDLED)
def test_any_site_is_what_it_was_many_times(
    nginx: Configuration, harness: Switching, addresses: tuple[str, str], made: Files,
    faults: tuple[str | None, ...], meddled: int | None,
) -> None:  # fmt: skip
    check(made, nginx, harness, addresses, faults, meddled)


@settings(PLAIN, max_examples=10, derandomize=True)
@given(made=files(), faults=FAULTS)
def test_any_site_of_a_running_nginx_is_what_it_was(
    nginx: Configuration, harness: Switching, addresses: tuple[str, str], made: Files, faults: tuple[str | None, ...]
) -> None:
    nginx.started = True
    try:
        check(made, nginx, harness, addresses, faults, None)
    finally:
        nginx.stop()


@pytest.mark.soak
@settings(PLAIN, max_examples=300)
@given(made=files(), faults=FAULTS)
def test_any_site_of_a_running_nginx_is_what_it_was_many_times(
    nginx: Configuration, harness: Switching, addresses: tuple[str, str], made: Files, faults: tuple[str | None, ...]
) -> None:
    nginx.started = True
    try:
        check(made, nginx, harness, addresses, faults, None)
    finally:
        nginx.stop()

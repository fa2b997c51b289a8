"""Ways to break one thing in a real stack: each a context in which it is broken, and afterwards as it was."""

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psutil

from harness.nginx.journal import Entry, Journal
from harness.stack import identity, ports
from tests.harness.doctor import bending
from tests.harness.doctor.bench import EXPORTS_AN_HOUR, Bench, program, wait_until
from tests.support.checkout import checkout

Changed = Mapping[str, str | None]
"""Variables that the doctor sees otherwise while the fault is there."""
Breaking = Callable[[Bench], AbstractContextManager[Changed]]


@contextmanager
def environment(_: Bench, **changed: str | None) -> Iterator[Changed]:
    yield changed


@contextmanager
def bent(bench: Bench, **bends: object) -> Iterator[Changed]:
    """The server goes wrong in one way."""
    bench.ask("mcp", "PUT", "/_bend", bends)
    try:
        yield {}
    finally:
        bench.ask("mcp", "PUT", "/_bend", {})


@contextmanager
def fewer_tools(bench: Bench, *names: str) -> Iterator[Changed]:
    """The server has not all tools; the copilot, which keeps for a while what it listed meanwhile, is begun anew."""
    try:
        with bent(bench, drop=list(names)):
            yield {}
    finally:
        bench.again("copilot")


@contextmanager
def upstream_fault(bench: Bench, **rule: object) -> Iterator[Changed]:
    """The emulator answers some requests with a fault."""
    bench.ask("emulator", "POST", "/_emulator/faults", rule)
    try:
        yield {}
    finally:
        bench.ask("emulator", "DELETE", "/_emulator/faults", {})


@contextmanager
def killed(bench: Bench, name: str) -> Iterator[Changed]:
    """A service is gone; what `--fix` did not bring back is brought back afterwards."""
    bench.kill(name)
    try:
        yield {}
    finally:
        bench.start()


@contextmanager
def halted(bench: Bench, name: str) -> Iterator[Changed]:
    """A service lives and is kept from running."""
    process = bench.member(name).process
    os.kill(process.pid, signal.SIGSTOP)
    wait_until(process.is_halted, f"the halt of {name}")
    try:
        yield {}
    finally:
        os.kill(process.pid, signal.SIGCONT)


@contextmanager
def hung_copilot(bench: Bench) -> Iterator[Changed]:
    """The copilot runs and gets nowhere: its one thread waits for something that never comes."""
    mark = bench.directory / "hung"
    wait = "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)"
    hang = f"process.on('SIGUSR2', () => {{ fs.writeFileSync({str(mark)!r}, ''); {wait}; }})"
    code = urllib.parse.quote(f"import fs from 'node:fs'; {hang}")
    with restarted(bench, "copilot", NODE_OPTIONS=f"--import=data:text/javascript,{code}"):
        os.kill(bench.member("copilot").process.pid, signal.SIGUSR2)
        wait_until(mark.exists, "the copilot's hang")
        yield {}
    mark.unlink()


@contextmanager
def occupied(bench: Bench, name: str) -> Iterator[Changed]:
    """A service is gone, and a stranger has its port."""
    bench.kill(name)
    # The kernel closes what a process leaves behind a moment after its end.
    wait_until(lambda: ports.is_free(bench.ports[name]), "a free port")
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", bench.ports[name]))
        stranger.listen()
        yield {}
    bench.start()


@contextmanager
def front_door(bench: Bench, old: str, new: str, *, reload: bool = False) -> Iterator[Changed]:
    """The front door's configuration is edited by hand."""
    path = bench.state.path / "nginx" / "nginx.conf"
    before = path.read_text()
    assert old in before
    path.write_text(before.replace(old, new))
    if reload:
        _reload(bench)
    try:
        yield {}
    finally:
        if path.read_text() != before:
            path.write_text(before)
            if reload:
                _reload(bench)


def _reload(bench: Bench) -> None:
    master = bench.member("nginx").process.pid
    before = {child.pid for child in psutil.Process(master).children()}
    os.kill(master, signal.SIGHUP)

    def reloaded() -> bool:
        now = {child.pid for child in psutil.Process(master).children()}
        # One of before takes requests until it knows better, and then says so.
        said = [" ".join(identity.read_command(pid)) for pid in before & now]
        return bool(now - before) and all("shutting down" in title for title in said)

    wait_until(reloaded, "workers that have reloaded, and none besides")


@contextmanager
def restarted(bench: Bench, name: str, **extra: str | None) -> Iterator[Changed]:
    """The copilot runs with another environment."""
    bench.extra = dict(extra)
    bench.again(name)
    try:
        yield {}
    finally:
        bench.extra = {}
        bench.again(name)


@contextmanager
def connected_too_early(bench: Bench) -> Iterator[Changed]:
    """The copilot has connected to a server that had not all tools then."""
    with bent(bench, drop=["sql", "funnel", "top_events"]):
        bench.again("copilot")
        # It connects when it is asked first.
        bench.ask("copilot", "GET", "/_copilot/about", {})
    try:
        yield {}
    finally:
        bench.again("copilot")


@contextmanager
def edited_checkout(
    bench: Bench, file: str = "", old: str = "", new: str = "", remove: str = "", **changed: str | None
) -> Iterator[Changed]:
    """copilot.dir is a checkout of which one file is edited or something removed."""
    directory = checkout(bench.directory / "checkout", bench.ports["mcp"])
    try:
        if file:
            path = directory / file
            before = path.read_text()
            assert old in before
            path.write_text(before.replace(old, new))
        if remove:
            target = directory / remove
            shutil.rmtree(target) if target.is_dir() else target.unlink()
        yield {"HARNESS_COPILOT_DIR": str(directory), **changed}
    finally:
        shutil.rmtree(directory)


@contextmanager
def other_program(bench: Bench, name: str, text: str, **more: str) -> Iterator[Changed]:
    """A program of that name comes first in PATH."""
    directory = bench.directory / f"other-{name}"
    directory.mkdir()
    for each, its_text in {name: text, **more}.items():
        program(directory / each, its_text)
    try:
        yield {"PATH": f"{directory}{os.pathsep}{bench.environment['PATH']}"}
    finally:
        shutil.rmtree(directory)


@contextmanager
def broken_minikube(bench: Bench) -> Iterator[Changed]:
    """minikube's machine does not reach the server."""
    refusal = "#!/bin/sh\necho 'curl: (7) Failed to connect to host.minikube.internal' >&2\nexit 7\n"
    with other_program(bench, "minikube", refusal) as changed, edited_checkout(bench) as more:
        yield {**changed, **more}


@contextmanager
def older_package(bench: Bench) -> Iterator[Changed]:
    """A package is of a version that does not fit."""
    directory = bench.directory / "packages"
    (directory / "jq-0.1.dist-info").mkdir(parents=True)
    (directory / "jq-0.1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: jq\nVersion: 0.1\n")
    sys.path.insert(0, str(directory))
    try:
        yield {}
    finally:
        sys.path.remove(str(directory))
        shutil.rmtree(directory)


@contextmanager
def open_to_others(bench: Bench) -> Iterator[Changed]:
    """Others may look into the state directory."""
    bench.state.path.chmod(0o755)
    try:
        yield {}
    finally:
        bench.state.path.chmod(0o700)


@contextmanager
def damaged_state(bench: Bench) -> Iterator[Changed]:
    """What is written down is cut short."""
    path = bench.state.path / "stack.json"
    before = path.read_bytes()
    path.write_bytes(before[: len(before) // 2])
    try:
        yield {}
    finally:
        path.write_bytes(before)
        path.with_name("stack.json.damaged").unlink(missing_ok=True)


@contextmanager
def stray(bench: Bench) -> Iterator[Changed]:
    """A process that an `up` of this stack started, and that nothing written down tells of."""
    stack = bench.state.read()
    assert stack is not None
    marks = {identity.RUN_ID: stack.run_id, identity.STATE_DIR: str(bench.state.path), identity.SERVICE: "mcp"}
    with subprocess.Popen(["sleep", "600"], env={**os.environ, **marks}, start_new_session=True) as process:
        try:
            yield {}
        finally:
            process.kill()


@contextmanager
def small_disk(bench: Bench) -> Iterator[Changed]:
    """The data sets are kept where there is no room."""
    place = bench.directory / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], check=True)
    try:
        yield {"HARNESS_EMULATOR_CACHE_DIR": str(place)}
    finally:
        subprocess.run(["umount", str(place)], check=True)
        place.rmdir()


@contextmanager
def few_files(bench: Bench) -> Iterator[Changed]:
    """The server may have few files open."""
    pid = bench.member("mcp").process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (128, before[1]))
    try:
        yield {}
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


@contextmanager
def locked_store(bench: Bench) -> Iterator[Changed]:
    """Another program holds the server's database."""
    command = identity.read_command(bench.member("mcp").process.pid)
    path = command[command.index("--db") + 1]
    code = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            yield {}
        finally:
            holder.kill()


@contextmanager
def spent_budget(bench: Bench) -> Iterator[Changed]:
    """Every export of the hour is spent; only an hour gives it back, so this is the last of all faults."""
    call = {"name": "stream_events", "arguments": {"from_date": "2025-06-01", "to_date": "2025-06-01", "limit": 1}}
    for number in range(EXPORTS_AN_HOUR):
        bench.ask("mcp", "POST", "/mcp", {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": call})
    yield {}


@contextmanager
def switch_cut_short(bench: Bench) -> Iterator[Changed]:
    """`harness nginx switch` was killed before nginx was seen to follow."""
    journal = Journal(bench.state.path)
    journal.directory.mkdir(mode=0o700)
    nowhere = Path("/nonexistent")
    journal.write(
        Entry(
            id="1", done=False, at="2025-06-30T10:00:00+00:00", to="127.0.0.1:8082", site=None, binary=nowhere,
            main=nowhere, prefix=None, changes=(),
        )
    )  # fmt: skip
    try:
        yield {}
    finally:
        shutil.rmtree(journal.directory)


@contextmanager
def line_in_a_log(bench: Bench, service: str, line: str) -> Iterator[Changed]:
    """A service has written a line that means something."""
    path = bench.state.log(service)
    before = path.stat().st_size
    with path.open("a") as file:
        file.write(line + "\n")
    try:
        yield {}
    finally:
        os.truncate(path, before)


@contextmanager
def removed_log(bench: Bench, service: str) -> Iterator[Changed]:
    """Somebody has removed the log of a service that runs."""
    path = bench.state.log(service)
    aside = path.rename(path.with_name("aside"))
    try:
        yield {}
    finally:
        aside.rename(path)


@contextmanager
def live(bench: Bench, **changed: str | None) -> Iterator[Changed]:
    """Nothing is started; Mixpanel itself is meant, whose place the emulator's base URLs of all regions take."""
    about = bench.ask("emulator", "GET", "/_emulator/about", {})
    yield {
        "HARNESS_STACK_TARGET": "live",
        "HARNESS_STACK_PORTS": "auto",
        "HARNESS_STATE_DIR": str(bench.directory / "live"),
        "MP_USERNAME": about["account"]["username"],
        "MP_SECRET": about["account"]["secret"],
        "MP_PROJECT_ID": str(about["project"]["id"]),
        "MP_REGION": about["project"]["region"],
        "MP_API_BASE_URL": f"http://127.0.0.1:{bench.ports['emulator']}/{{region}}",
        "MP_RATE_LIMITS": "off",
        **changed,
    }


@contextmanager
def not_loaded(bench: Bench) -> Iterator[Changed]:
    """~/.bashrc exports what this shell has not."""
    path = bench.directory / ".bashrc"
    path.write_text("export MP_SECRET='it is never shown'\n")
    try:
        with live(bench, MP_SECRET=None) as changed:
            yield changed
    finally:
        path.unlink()


@contextmanager
def clock_ahead(bench: Bench) -> Iterator[Changed]:
    """Mixpanel's clock and this machine's are an hour apart."""
    with bending.proxy(bench.ports["emulator"], clock_s=-3600) as port, live(bench) as changed:
        yield {**changed, "MP_API_BASE_URL": f"http://127.0.0.1:{port}/{{region}}"}

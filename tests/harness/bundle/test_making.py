"""A bundle of a running stack, and of one that cannot start, with secrets planted wherever one may come from."""

import base64
import binascii
import io
import json
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

import pytest

from tests.support.standin import StandIn, standin, wait_until

CANARIES = {
    "env": "CanaryEnv/1+a b\"c'd",
    "key": "sk-canary-0000000000000000key",
    "proxy": "canary-proxy-pw1",
    "toml": "canary.toml.url.pw",
    "comment": "canary-toml-comment9",
    "config": '"q"\\canary of the file 7',
    "bashrc": "canary-bashrc-#5",
    "log": "canary-log-only-42",
    "url": "canary-query-77",
    "cookie": "canary-cookie-88",
    "argv": "canary-argv-word-3",
    "option": "canary-argv-option-4",
    "word": "canaryword",
    "service": "standin-secret",
}
RUN = re.compile(rb"[A-Za-z0-9+/_-]{12,}")


def appears(canary: str, raw: bytes) -> bool:
    """Whether a secret stands in some bytes: as it is, percent-encoded, escaped, in hex, or in base64 at any place."""
    wanted = canary.encode()
    text = raw.decode(errors="replace")
    if canary in text or canary in unquote(text) or canary in unquote(unquote(text)):
        return True
    if canary in text.replace("\\", "") or json.dumps(canary)[1:-1] in text or wanted.hex() in text.lower():
        return True
    for run in RUN.findall(raw):
        for cut in range(4):
            part = run[cut:].translate(bytes.maketrans(b"-_", b"+/"))
            part = part[:-1] if len(part) % 4 == 1 else part
            part += b"=" * (-len(part) % 4)
            try:
                if wanted in base64.b64decode(part):
                    return True
            except binascii.Error:
                continue
    return False


def all_bytes(path: Path) -> list[bytes]:
    """The file itself, and everything in it."""
    raw = path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(raw)) as packed:
        return [raw, *(packed.read(entry) for entry in packed.infolist())]


def left(path: Path) -> set[str]:
    return {name for name, canary in CANARIES.items() for raw in all_bytes(path) if appears(canary, raw)}


def test_the_search_for_canaries_finds_them() -> None:
    canary = CANARIES["env"]
    packed = base64.b64encode(f"user:{canary}".encode())
    for raw in (
        canary.encode(), quote(canary, safe="").encode(), quote(quote(canary)).encode(), json.dumps(canary).encode(),
        b"Basic " + packed, b"x " + base64.b64encode(b"a" + canary.encode()), canary.encode().hex().encode(),
    ):  # fmt: skip
        assert appears(canary, raw)
    assert not appears(canary, b"nothing of that kind")


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[StandIn]:
    with standin(tmp_path) as made:
        yield made


def planted(stack: StandIn) -> dict[str, str]:
    """A home directory and an environment with secrets in them."""
    home = stack.directory / "home"
    (home / ".mp").mkdir(parents=True)
    (home / ".mp" / "config.toml").write_text(
        f'[accounts.main]\nusername = "u"\nsecret = {json.dumps(CANARIES["config"])}\n'
    )
    (home / ".bashrc").write_text(f"export MP_SECRET='{CANARIES['bashrc']}'\nalias ll='ls -l'\n")
    return {
        "HOME": str(home),
        "MP_SECRET": CANARIES["env"],
        "OPENAI_API_KEY": CANARIES["key"],
        "HTTPS_PROXY": f"http://me:{CANARIES['proxy']}@127.0.0.1:9",
    }


def chatter() -> str:
    """What a careless service might log."""
    env, packed = CANARIES["env"], base64.b64encode(f"account:{CANARIES['env']}".encode()).decode()
    lines = [
        f"signing in with {env}",
        f"Authorization: Basic {packed}",
        f"header was {packed!r} again",
        f"GET /api/query?secret={quote(env, safe='')}&x=1",
        json.dumps({"asked": {"text": f"the secret is {env}"}}),
        json.dumps({"nested": json.dumps({"MP_SECRET": env})}),
        f"hex {env.encode().hex()}",
        f"model key {CANARIES['key']}",
        f"via http://me:{CANARIES['proxy']}@127.0.0.1:9",
        f"old account {CANARIES['config']}, shell says {CANARIES['bashrc']}",
        f"password={CANARIES['log']}",
        f"without its name: {CANARIES['log']}",
        f"GET https://api.example/x?api_key={CANARIES['url']}",
        f"Cookie: theme=dark; sid={CANARIES['cookie']}",
        f"the emulator's own is {CANARIES['service']}",
        "Error: listen EADDRINUSE: address already in use 127.0.0.1:8082",
    ]
    return "".join(f"{line}\n" for line in lines)


def test_no_planted_secret_is_anywhere_in_the_bundle_of_a_running_stack(stack: StandIn) -> None:
    environment = planted(stack)
    assert stack.run("up", "--json", **environment).code == 0
    with stack.state.log("mcp").open("a") as log:
        log.write(chatter())
    (stack.state.path / "logs" / "crash-20250630T100000-1.log").write_text(f"Traceback: {CANARIES['env']}\n")
    ran = stack.run("bundle", "out.zip", "--json", **environment)
    assert ran.code == 0, ran
    path = stack.directory / "out.zip"
    assert ran.json() == {"file": str(path), "bytes": path.stat().st_size}
    assert left(path) == set()
    shown = stack.run("bundle", "show", "out.zip", "--json", **environment).json()
    # What is not secret is still there, or the bundle would be of no use.
    assert {service["name"]: service["state"] for service in shown["status"]["services"]}["mcp"] == "up"
    assert any(row["name"] == "mcp.port" and row["value"] == stack.mcp_port for row in shown["settings"])
    assert "EADDRINUSE" in shown["texts"]["mcp"]
    assert "signing in with [redacted]" in shown["texts"]["mcp"]
    assert "Traceback: [redacted]" in shown["texts"]["crash-20250630T100000-1"]
    assert "port-taken" in [row["id"] for row in shown["known_issues"]]
    assert {row["service"]: row["state"] for row in shown["ports"]}["emulator"] == "ours"
    assert len(shown["checks"]["checks"]) > 20
    assert next(row for row in shown["environment"] if row["name"] == "MP_SECRET")["value"] is None
    log_text = stack.run("bundle", "show", "out.zip", "--log", "mcp", **environment)
    assert "EADDRINUSE" in log_text.out
    wrong = stack.run("bundle", "show", "out.zip", "--log", "mpc", "--json", **environment)
    assert (wrong.code, wrong.error()["fix"]) == (2, "did you mean mcp?")


@contextmanager
def stranger(port: int) -> Iterator[None]:
    """Somebody else's process on a port, with secrets in its command line."""
    code = (
        "import socket, sys, threading\n"
        "held = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
        "threading.Event().wait()"
    )
    words = [str(port), CANARIES["argv"], CANARIES["word"], "--token", CANARIES["option"]]
    with subprocess.Popen([sys.executable, "-S", "-c", code, *words]) as process:
        try:
            yield
        finally:
            process.kill()


def test_nor_in_one_of_a_stack_that_cannot_start(stack: StandIn) -> None:
    environment = planted(stack)
    (stack.directory / "harness.toml").write_text(f'# token = "{CANARIES["comment"]}"\n[stack]\ngrace_s = 3\n')
    with stranger(stack.emulator_port):
        wait_until(lambda: not ports_free(stack), "the stranger")
        ran = stack.run("bundle", "out.zip", "--json", **environment)
    assert ran.code == 0, ran
    assert left(stack.directory / "out.zip") == set()
    shown = stack.run("bundle", "show", "out.zip", "--json", **environment).json()
    holder = next(row for row in shown["ports"] if row["service"] == "emulator")
    assert holder["state"] == "stranger"
    assert "python" in holder["holder"]
    assert "more words" in holder["holder"]


def ports_free(stack: StandIn) -> bool:
    from harness.stack import ports

    return ports.is_free(stack.emulator_port)


@pytest.mark.parametrize(
    "settings",
    [
        f'[emulator]\nseed = "password={CANARIES["comment"]}"\n',
        f'[mcp]\nurl = "http://u:{CANARIES["toml"]}@127.0.0.1:9/mcp"\n',
        f'[mcp]\nsecret = "{CANARIES["toml"]}"\n',
    ],
)
def test_settings_that_cannot_be_read_are_in_the_bundle_as_an_error(stack: StandIn, settings: str) -> None:
    environment = planted(stack)
    (stack.directory / "harness.toml").write_text(settings)
    assert stack.run("status", "--json", **environment).code == 2
    ran = stack.run("bundle", "out.zip", "--json", **environment)
    assert ran.code == 0, ran
    assert left(stack.directory / "out.zip") == set()
    shown = stack.run("bundle", "show", "out.zip", "--json", **environment)
    # Showing somebody's bundle does not take settings of one's own.
    assert shown.json()["settings_error"]["code"] == "BAD_SETTINGS"


def test_a_secret_that_the_bound_cuts_in_two_leaves_no_half(stack: StandIn) -> None:
    environment = planted(stack)
    assert stack.run("up", "--json", **environment).code == 0
    line = f"{'x' * 60} {CANARIES['env']} {CANARIES['env']}\n"
    with stack.state.log("mcp").open("a") as log:
        log.write(line * ((3 << 20) // len(line)))
    assert stack.run("bundle", "out.zip", "--json", **environment).code == 0
    shown = stack.run("bundle", "show", "out.zip", "--json", **environment).json()
    text = shown["texts"]["mcp"]
    assert len(text) < 2 << 20
    assert set(text.splitlines()) == {f"{'x' * 60} [redacted] [redacted]"}
    assert not next(row for row in shown["logs"] if row["name"] == "mcp")["whole"]


def test_a_secret_that_cannot_be_hidden_leaves_no_bundle(stack: StandIn) -> None:
    # An everyday word that stands in the report's own form.
    ran = stack.run("bundle", "out.zip", "--json", MP_SECRET="made_at", HOME=str(stack.directory))
    assert (ran.code, ran.error()["code"]) == (4, "BUNDLE_UNSAFE")
    assert not (stack.directory / "out.zip").exists()


def test_words_that_mean_nothing_are_refused(stack: StandIn) -> None:
    for words in (("a", "b"), ("show",), ("show", "a", "b"), ("x.zip", "--log", "mcp")):
        ran = stack.run("bundle", *words, "--json")
        assert (ran.code, ran.error()["code"]) == (2, "USAGE")
    assert not list(stack.directory.glob("*.zip"))


def test_it_does_not_take_long(stack: StandIn) -> None:
    assert stack.run("up", "--json").code == 0
    began = time.process_time()
    assert stack.run("bundle", "out.zip", "--json").code == 0
    assert time.process_time() - began < 20

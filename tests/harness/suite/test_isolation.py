"""A network of one's own: loopback works in it, nothing else does, and the kernel counts who tries."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from harness.suite import isolation
from tests.support.repository import ROOT

TRIES = """
import json, socket, sys
from harness.suite import isolation
alone = isolation.enter()
before = alone.attempts()
listening = socket.create_server(("127.0.0.1", 0))
socket.create_connection(listening.getsockname(), 5).close()
quiet = alone.attempts()
for family, host in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
    with socket.socket(family) as asking:
        try:
            asking.connect((host, 443))
        except OSError:
            pass
found = {"alone": alone.alone, "said": alone.said, "before": before, "quiet": quiet, "after": alone.attempts()}
json.dump(found, sys.stdout)
"""


def test_whoever_wants_to_leave_is_counted_by_the_kernel(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", TRIES], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    said = json.loads(ran.stdout)
    if not said["alone"]:
        pytest.skip(f"no namespace is to be had here: {said['said']}")
    assert (said["before"], said["quiet"]) == ([], [])
    assert said["after"] == ["the kernel turned away 2 packets that were meant for other machines"]


def test_without_a_namespace_the_report_says_so() -> None:
    alone = isolation.guarded("Operation not permitted")
    assert "guards in Python and Node" in alone.said
    assert "Operation not permitted" in alone.said
    assert alone.attempts() == []


def test_this_process_is_not_in_one() -> None:
    # Whoever counts here would count somebody else's packets.
    assert socket.if_nameindex()

"""Plays tapes where there is no network: run under `unshare -rn`, with the loopback interface brought up here.

    unshare -rn python -m tests.harness.cassettes.isolated TAPES HOME CASES

CASES is JSON, as `tape.Case` takes it; what comes out is JSON: the results, the reports, and how a way out was refused.
"""

import fcntl
import json
import socket
import struct
import sys
from pathlib import Path

from tests.harness.cassettes.cases import case_of
from tests.harness.cassettes.hosting import playing

IFF_UP, SIOCGIFFLAGS, SIOCSIFFLAGS = 0x1, 0x8913, 0x8914
NOBODY = ("192.0.2.1", 443)  # of a network that is for documentation alone


def raise_loopback() -> None:
    """As `ip link set lo up`, which not every machine has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        flags = struct.unpack_from("16sh", fcntl.ioctl(asking, SIOCGIFFLAGS, struct.pack("16sh14x", b"lo", 0)))[1]
        if not flags & IFF_UP:
            fcntl.ioctl(asking, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def way_out() -> str:
    """How the kernel refuses a connection to somebody else; empty where it does not."""
    with socket.socket() as asking:
        asking.settimeout(5)
        try:
            asking.connect(NOBODY)
        except OSError as error:
            return error.strerror or str(error)
    return ""


def main(tapes: str, home: str, cases: str) -> None:
    """Play each case."""
    raise_loopback()
    with playing(Path(tapes), Path(home)) as host:
        played = [host.play(case_of(said)) for said in json.loads(cases)]
        attempts = host.state()["attempts_to_leave"]
    json.dump({"out": way_out(), "played": played, "attempts": attempts}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])

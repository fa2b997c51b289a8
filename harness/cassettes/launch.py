"""How a server is started whose Mixpanel is on tape: its command, and the environment that belongs to it.

A replay asks nobody, so its account is nobody's.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from harness.cassettes.scrub import PROJECT_ID

TAPES = Path("fixtures/cassettes")
MODULE = "harness.cassettes.host"

_ACCOUNT = {
    "MP_USERNAME": "replay.000000.mp-service-account",
    "MP_SECRET": "no-secret-opens-a-tape",
    "MP_PROJECT_ID": PROJECT_ID,
    "MP_REGION": "us",
}
_ABSENT = ("MP_API_BASE_URL", "MP_NOW", "MP_CONFIG_PATH", "MP_ACCOUNT", "MP_REDIS_URL")
_LIMITS = "mixpanel"


def play(
    tapes: Path,
    server: tuple[str, ...],
    *,
    shelf: bool = True,
    case: str | None = None,
    report: Path | None = None,
    stores: Path | None = None,
) -> tuple[str, ...]:
    """The command of a server that plays tapes.

    Args:
        server: what `mp-mcp-server` would be given
        shelf: whether all good tapes are played at once while no case is on; a suite wants none
        case: the one case that is on from the start; report: the file that takes its report at the end
        stores: a directory of its own for the databases of cases, below the one of whoever starts it, so that what a
            kill leaves goes with that
    """
    own = (
        *(("--shelf",) if shelf else ()),
        *(("--case", case) if case else ()),
        *(("--report", str(report)) if report else ()),
        *(("--stores", str(stores)) if stores else ()),
    )
    return (*module(MODULE), "--play", str(tapes), *own, "--", *server)


def record(session: Path, server: tuple[str, ...]) -> tuple[str, ...]:
    """The command of a server that records into a session."""
    return (*module(MODULE), "--record", str(session), "--", *server)


def play_environment() -> dict[str, str | None]:
    """What is set for a server that plays tapes; None removes a variable."""
    return {**_ACCOUNT, **dict.fromkeys(_ABSENT), "MP_RATE_LIMITS": _LIMITS}


def record_environment(credentials: Mapping[str, str], base_url: str | None) -> dict[str, str | None]:
    """What is set for a server that records; limits as at Mixpanel, so that it behaves as it will in a replay.

    Args:
        credentials: the four MP_ variables of an account
        base_url: the emulator's; None for live Mixpanel
    """
    return {**dict.fromkeys(_ABSENT), **credentials, "MP_API_BASE_URL": base_url, "MP_RATE_LIMITS": _LIMITS}


def module(name: str) -> tuple[str, ...]:
    """The beginning of a command that runs a module of ours."""
    # -P: a folder called `fixtures` where it happens to run must not be taken for ours.
    return (sys.executable, "-P", "-m", name)

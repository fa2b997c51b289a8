"""What every test has: one asynchronous backend, the one that the server runs on, and signals that are heard."""

import gc
import signal

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """A shell has what it runs in the background ignore Ctrl-C, and so would all processes that tests start.

    So does `nohup` with a terminal's end, which the tests themselves are to survive all the same.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)


def pytest_unconfigure() -> None:
    """Let a process end quietly."""
    # Hypothesis leaves a function here, which outlives all modules and holds what they hold.
    # The binding of duckdb takes that for a leak of its own, and prints a page about it.
    gc.callbacks[:] = [function for function in gc.callbacks if "hypothesis" not in str(function.__module__)]

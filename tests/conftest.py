"""What every test has: one asynchronous backend, the one that the server runs on, and signals that are heard."""

import gc
import os
import signal
from collections.abc import Generator

import pytest

from tests.support import data_sets, examples


def pytest_configure(config: pytest.Config) -> None:
    """Before the tests are read: how much of each claim this run tries."""
    examples.hear(config)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Set apart what reading the tests makes, a million objects that stay: they are never searched for garbage."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


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


@pytest.fixture(scope="session", autouse=True)
def compiled(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What Node compiles is kept for the run: else a copilot compiles for half a second whenever it is started."""
    os.environ["NODE_COMPILE_CACHE"] = str(data_sets.kept(tmp_path_factory, "node"))


def pytest_unconfigure() -> None:
    """Let a process end quietly."""
    gc.unfreeze()
    # Hypothesis leaves a function here, which outlives all modules and holds what they hold.
    # The binding of duckdb takes that for a leak of its own, and prints a page about it.
    gc.callbacks[:] = [function for function in gc.callbacks if "hypothesis" not in str(function.__module__)]

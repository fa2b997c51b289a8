"""What every test has: one asynchronous backend, the one that the server runs on."""

import gc

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def pytest_unconfigure() -> None:
    """Let a process end quietly."""
    # Hypothesis leaves a function here, which outlives all modules and holds what they hold.
    # The binding of duckdb takes that for a leak of its own, and prints a page about it.
    gc.callbacks[:] = [function for function in gc.callbacks if "hypothesis" not in str(function.__module__)]

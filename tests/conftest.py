"""What every test has: one asynchronous backend, the one that the server runs on."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"

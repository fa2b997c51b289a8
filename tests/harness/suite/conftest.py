"""Where runs of the suite keep what is theirs, and what a caller's environment is to them."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where emulators keep their data set; the same for all workers of a session."""
    base = tmp_path_factory.getbasetemp()
    place = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "suite-data"
    place.mkdir(exist_ok=True)
    return place


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The caller's, without anybody's account or stack, with a home of its own."""
    own = ("MP_", "HARNESS_", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(own)} | {"HOME": str(tmp_path)}

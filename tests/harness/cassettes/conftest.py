"""A small emulator for this room, standing at the end of its last day."""

from collections.abc import Iterator

import pytest

from tests.support.emulator import Emulator, running_emulator

LAST_DAY = "2025-06-30"


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An emulator over thirty days of three hundred users."""
    place = tmp_path_factory.mktemp("emulator")
    size = ("--users", "300", "--days", "30", "--last-day", LAST_DAY, "--now", LAST_DAY, "--no-stories")
    with running_emulator(place / "log", *size, cache_dir=place) as running:
        yield running

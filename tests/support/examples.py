"""How many examples a claim is tried with: a few in a normal run, always the same; many in a soak, new each time."""

import pytest
from hypothesis import HealthCheck, settings

SOAK = "soak"

settings.register_profile(SOAK)


def hear(config: pytest.Config) -> None:
    """Learn which of the two this run is; for a conftest's `pytest_configure`, before the tests are read."""
    if SOAK in config.getoption("markexpr").replace(f"not {SOAK}", ""):
        settings.load_profile(SOAK)


def examples(few: int, many: int) -> settings:
    """The settings of a claim: so many in a normal run, and so many in a soak."""
    soak = settings.get_current_profile_name() == SOAK
    return settings(
        max_examples=many if soak else few,
        deadline=None,
        derandomize=not soak,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )

"""How many examples a claim is tried with: a few in a normal run, always the same; many in a soak, new each time.

In neither has an example a deadline: on a machine that is busy, that would be luck.
"""

import pytest
from hypothesis import HealthCheck, settings

USUAL, SOAK = "usual", "soak"
PATIENT = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]

settings.register_profile(
    USUAL, max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=PATIENT
)
settings.register_profile(SOAK, max_examples=1000, deadline=None, suppress_health_check=PATIENT)


def hear(config: pytest.Config) -> None:
    """Learn which of the two this run is; for `pytest_configure`, before the tests are read."""
    settings.load_profile(SOAK if SOAK in config.getoption("markexpr").replace(f"not {SOAK}", "") else USUAL)


def examples(few: int, many: int) -> settings:
    """The settings of a claim: so many in a normal run, and so many in a soak."""
    return settings(max_examples=many if settings.get_current_profile_name() == SOAK else few)

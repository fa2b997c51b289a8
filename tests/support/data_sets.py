"""Where what tests have made for one another is kept while they run: data sets, and what Node has compiled."""

import os
from pathlib import Path

import pytest


def kept(factory: pytest.TempPathFactory, what: str = "data-sets") -> Path:
    """One directory for all workers of a run: what one of them has made, the others take."""
    base = factory.getbasetemp()
    place = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / what
    place.mkdir(exist_ok=True)
    return place

"""Where data sets that tests have generated are kept while the tests run."""

import os
from pathlib import Path

import pytest


def kept(factory: pytest.TempPathFactory) -> Path:
    """One directory for all workers of a run: what one of them has built, the others take."""
    base = factory.getbasetemp()
    place = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "data-sets"
    place.mkdir(exist_ok=True)
    return place

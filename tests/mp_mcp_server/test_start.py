"""What is made at the start is set apart from what calls make."""

import gc
from collections.abc import Iterator

import pytest

from mp_mcp_server.cli import kept


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    gc.unfreeze()
    yield
    gc.unfreeze()


def test_what_is_built_is_not_searched_for_garbage_and_what_comes_after_is() -> None:
    with kept():
        assert not gc.isenabled()
        built = [object()]
    later = [object()]
    searched = {id(found) for found in gc.get_objects()}
    assert id(built) not in searched
    assert id(later) in searched
    assert gc.isenabled()


def test_a_start_that_is_refused_leaves_the_search_on() -> None:
    with pytest.raises(SystemExit), kept():
        raise SystemExit
    assert gc.isenabled()

"""What importing costs: a name is loaded when it is used, and not before."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mixpanel_data

HEAVY = {"duckdb", "pandas", "numpy", "httpx", "rich", "limits", "tenacity", "tomlkit"}


def imported_by(*arguments: str) -> set[str]:
    """The top-level modules that a fresh interpreter loads."""
    ran = subprocess.run([sys.executable, "-X", "importtime", *arguments], capture_output=True, text=True, check=True)
    lines = (line.rpartition("|")[2].strip() for line in ran.stderr.splitlines() if line.startswith("import time:"))
    return {name.partition(".")[0] for name in lines}


@pytest.mark.parametrize(
    "arguments",
    [
        ("-c", "import mixpanel_data"),
        ("-m", "mixpanel_data.cli.app", "--version"),
        ("-m", "mixpanel_data.cli.app", "--help"),
        ("-m", "mixpanel_data.cli.app", "auth", "test", "--help"),
    ],
    ids=["package", "version", "help", "command's help"],
)
def test_starting_loads_nothing_heavy(arguments: tuple[str, ...]) -> None:
    assert "mixpanel_data" in imported_by(*arguments)
    assert HEAVY & imported_by(*arguments) == set()


def test_frames_are_loaded_only_when_asked_for() -> None:
    assert "pandas" not in imported_by("-c", "from mixpanel_data import Workspace, SQLResult, FetchResult")


def test_every_public_name_is_there_and_known_to_type_checkers() -> None:
    for name in mixpanel_data.__all__:
        assert getattr(mixpanel_data, name) is not None
        assert name in dir(mixpanel_data)
    tree = ast.parse(Path(str(mixpanel_data.__file__)).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    shown = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert shown == set(mixpanel_data.__all__) - {"__version__"}
    with pytest.raises(AttributeError, match="nonsense"):
        _ = mixpanel_data.nonsense

"""The rooms of the plan hold: who may know whom, how long a module may be, and what nothing is called."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.repository import ROOT, kept_files

PACKAGES = ("mixpanel_data", "mp_mcp_server", "harness", "fixtures")
MODULES = [path for path in kept_files() if path.suffix == ".py"]
SOURCES = [path for path in MODULES if path.relative_to(ROOT).parts[0] in PACKAGES]
ONE_SITTING = 600
SAYS_NOTHING = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}

# A line that breaks each contract on purpose: (module to break, what it must not import).
BREAKS = [
    ("mixpanel_data/clock.py", "import mp_mcp_server"),
    ("mixpanel_data/clock.py", "import fixtures.emulator"),
    ("mixpanel_data/endpoints.py", "import mixpanel_data.workspace"),
    ("mixpanel_data/workspace/__init__.py", "import duckdb"),
    ("mixpanel_data/workspace/__init__.py", "import httpx"),
    ("mp_mcp_server/catalogue.py", "import harness"),
    ("mp_mcp_server/catalogue.py", "import mixpanel_data.local"),
    ("mp_mcp_server/catalogue.py", "import fastmcp"),
    ("fixtures/emulator/routes.py", "import mixpanel_data"),
    ("fixtures/dataset/store.py", "import harness"),
    ("harness/settings.py", "import fixtures"),
    ("harness/settings.py", "import duckdb"),
    ("harness/settings.py", "import mp_mcp_server.server"),
]


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [program, "--no-logo", "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "", "PYTHONPATH": str(folder), "NO_COLOR": "1"},
    )


@pytest.fixture
def copy_of_the_packages(tmp_path: Path) -> Path:
    for source in [*SOURCES, ROOT / "pyproject.toml"]:
        target = tmp_path / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    return tmp_path


def test_the_import_contracts_hold(copy_of_the_packages: Path) -> None:
    outcome = lint_imports(copy_of_the_packages)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


@pytest.mark.parametrize(("module", "line"), BREAKS, ids=str)
def test_a_broken_contract_is_found(copy_of_the_packages: Path, module: str, line: str) -> None:
    broken = copy_of_the_packages / module
    broken.write_text(broken.read_text() + f"\n{line}\n")
    outcome = lint_imports(copy_of_the_packages)
    assert outcome.returncode == 1
    assert "BROKEN" in outcome.stdout


def test_every_package_of_the_wheel_is_under_contract() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert (
        settings["importlinter"]["root_packages"]
        == settings["hatch"]["build"]["targets"]["wheel"]["packages"]
        == list(PACKAGES)
    )


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= ONE_SITTING


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [path for path in MODULES if SAYS_NOTHING & {*path.relative_to(ROOT).parts, path.stem}] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_is_in_it(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))

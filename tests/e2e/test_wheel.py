"""What `pip install` brings is whole: the stack runs from a wheel, away from the checkout."""

import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.e2e.conftest import SETTINGS
from tests.support.repository import ROOT, kept_files
from tests.support.stack import Stack, taken_down

pytestmark = pytest.mark.e2e

PACKAGES = ("mixpanel_data", "mp_mcp_server", "harness", "fixtures")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of what git keeps, so that nothing else of the checkout can slip in."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for path in kept_files():
        copy = source / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", str(target), str(source)], check=True, capture_output=True, cwd=target)
    (built,) = target.glob("*.whl")
    return built


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    kept = {str(path.relative_to(ROOT)) for path in kept_files() if path.relative_to(ROOT).parts[0] in PACKAGES}
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == kept


def test_the_stack_runs_from_a_wheel_in_any_directory(wheel: Path, tmp_path: Path, cache_dir: Path) -> None:
    fresh = tmp_path / "environment"
    venv.create(fresh, with_pip=False, symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = fresh / "lib" / version / "site-packages"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--prefix", str(fresh)]
    subprocess.run([*install, "--ignore-installed", str(wheel)], check=True, capture_output=True, cwd=tmp_path)
    # The dependencies are those of the lock, lent and not downloaded again; a .pth line brings no editable install.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    program = (str(fresh / "bin/python"), "-m", "harness.cli")
    with taken_down(Stack(elsewhere, cache_dir, SETTINGS, program=program)) as stack:
        stack.good("up")
        commands = [process.cmdline()[0] for process in stack.processes()]
        assert set(commands) == {str(fresh / "bin/python")}
        assert stack.good("call", "list_events")["result"]
        loaded = subprocess.run(
            [fresh / "bin/python", "-c", "import fixtures, harness; print(fixtures.__file__, harness.__file__)"],
            check=True, capture_output=True, text=True, cwd=elsewhere,
        ).stdout  # fmt: skip
        assert loaded.count(str(packages)) == 2

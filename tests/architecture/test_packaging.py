"""What an installation rests on: lock files that pin everything and name no place, and nothing of this machine."""

import json
import re
import tomllib

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tests.support.repository import ROOT, kept_files

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "requirements.lock").read_text()
ADDRESS = re.compile(r"https?://|file:|git\+|--index|--find-links|--extra-index")
MACHINE_PATH = re.compile(r"/(?:work|root|farm)/|/opt/(?:pypi|wheels)")
PLATFORMS = [
    {"python_version": version, "python_full_version": f"{version}.0", "sys_platform": platform, "os_name": "posix",
     "platform_python_implementation": "CPython", "implementation_name": "cpython", "platform_system": system}
    for version in ("3.11", "3.12", "3.13", "3.14")
    for platform, system in (("linux", "Linux"), ("darwin", "Darwin"))
]  # fmt: skip


def pins() -> list[tuple[Requirement, int]]:
    """Each pinned requirement of the lock file, with the number of its hashes."""
    logical_lines = LOCK.replace("\\\n", " ").splitlines()
    return [
        (Requirement(line.split("--hash")[0]), line.count("--hash=sha256:")) for line in logical_lines if line.strip()
    ]


def test_the_lock_pins_every_package_with_hashes() -> None:
    assert len(pins()) > 50
    assert [
        str(pin) for pin, hashes in pins() if hashes == 0 or not re.fullmatch(r"==[^,*]+", str(pin.specifier))
    ] == []


def test_the_lock_names_no_address() -> None:
    assert not ADDRESS.search(LOCK)


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda row: f"{row['sys_platform']}-{row['python_version']}")
def test_the_lock_satisfies_the_project_on(platform: dict[str, str]) -> None:
    def applies(marker: Marker | None) -> bool:
        return marker is None or marker.evaluate(platform)

    locked = {pin.name: str(pin.specifier).removeprefix("==") for pin, _ in pins() if applies(pin.marker)}
    wanted = [Requirement(text) for text in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]]
    assert [
        str(want) for want in wanted if not SpecifierSet(str(want.specifier)).contains(locked.get(want.name, ""))
    ] == []


def test_the_node_lock_has_digests_and_no_addresses() -> None:
    locked = json.loads((ROOT / "tests/node/package-lock.json").read_text())["packages"]
    packages = {name: row for name, row in locked.items() if name}
    assert len(packages) > 10
    assert [name for name, row in packages.items() if "resolved" in row or "integrity" not in row] == []


@pytest.mark.parametrize("path", kept_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_speaks_of_this_machine(path: object) -> None:
    assert isinstance(path, type(ROOT))
    if path.suffix in {".png", ".gz"} or path == ROOT / "tests/architecture/test_packaging.py":
        return
    assert not MACHINE_PATH.search(path.read_text())


def test_versions_agree() -> None:
    import mixpanel_data

    assert mixpanel_data.__version__ == PROJECT["version"]
    assert not (ROOT / "uv.lock").exists()

"""What the copilot's own language says of it: its tests, and its types."""

import re
import subprocess

import pytest

from tests.support.copilot import COPILOT, NODE

pytestmark = pytest.mark.e2e


def test_the_copilots_own_tests_pass() -> None:
    tests = sorted(str(path.relative_to(COPILOT)) for path in (COPILOT / "tests").glob("*.test.ts"))
    done = subprocess.run(
        [NODE, "--test", *tests], cwd=COPILOT, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"^ℹ pass (\d+)$|^# pass (\d+)$", done.stdout, re.MULTILINE)
    # none found would pass, too
    assert passed is not None
    assert int(passed[1] or passed[2]) >= 50


def test_the_copilot_is_typed_without_exception() -> None:
    compiler = COPILOT / "node_modules/typescript/bin/tsc"
    done = subprocess.run(
        [NODE, compiler, "--noEmit", "--strict", "-p", "."],
        cwd=COPILOT, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    ours = [
        path
        for folder in ("agent", "server", "second-server", "page", "tests")
        for path in (COPILOT / folder).glob("*.ts")
    ]
    assert len(ours) > 25
    assert [
        path.name
        for path in ours
        if re.search(r"@ts-(?:ignore|nocheck|expect-error)|\bas any\b|: any\b", path.read_text())
    ] == []


def test_its_lock_names_no_place_of_download() -> None:
    assert '"resolved"' not in (COPILOT / "package-lock.json").read_text()

"""Where the repository is, and what git would keep of it."""

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@cache
def kept_files() -> tuple[Path, ...]:
    """Every file that is committed or would be (untracked and not ignored), sorted."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout
    paths = (ROOT / name for name in listing.decode().split("\0") if name)
    return tuple(sorted(path for path in paths if path.is_file()))

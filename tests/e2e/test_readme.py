"""What README shows is what comes out."""

import json
import os
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fixtures.dataset import Arguments, build, write_export
from tests.support import brute_force
from tests.support.repository import ROOT
from tests.support.stack import Stack, taken_down

pytestmark = pytest.mark.e2e

SMALL = {"HARNESS_EMULATOR_STORIES": "false", "HARNESS_EMULATOR_USERS": "300", "HARNESS_EMULATOR_DAYS": "8"}
ELSEWHERE = {
    "harness up --data FILE.jsonl.gz": "test_own_data.py",
    "harness up --target live": "asks Mixpanel",
    "harness up --copilot-dir DIR": "test_copilot.py",
    "harness up --stack two": "test_life_cycle.py",
    "harness ports free PORT --take-port": "ends somebody's process",
    "harness logs -f": "has no end",
    "harness nginx switch --site FILE": "test_nginx.py",
    "harness bundle show FILE": "reads the file that is made here",
}
"""Lines of README that are tried by other tests, or by nobody."""
ENDS = {"harness creds": 6}
"""What a line ends with where there are no credentials; all others with 0."""


def test_the_questions_of_the_readme_are_answered_with_the_datas_numbers(tmp_path: Path, cache_dir: Path) -> None:
    """On the wall clock, as a newcomer runs them: the days are relative to today."""
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    data_set = Arguments(seed=3, users=2_000, days=60, last_day=yesterday)
    export = tmp_path / "events.jsonl"
    write_export(build(data_set, cache_dir), export)
    raw_events = [json.loads(line) for line in export.read_bytes().split(b"\n") if line]
    settings = {
        "HARNESS_EMULATOR_SEED": "3",
        "HARNESS_EMULATOR_USERS": "2000",
        "HARNESS_EMULATOR_DAYS": "60",
        "HARNESS_EMULATOR_LAST_DAY": yesterday.isoformat(),
    }
    block = re.search(r"Ask it something:\n\n```\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block is not None
    script = block[1].replace(".venv/bin/harness", str(Path(sys.executable).with_name("harness")))
    with taken_down(Stack(tmp_path, cache_dir, settings)) as stack:
        stack.good("up")
        done = subprocess.run(
            ["bash", "-euc", script], cwd=tmp_path, env={**stack.environment, "PATH": os.environ["PATH"]},
            capture_output=True, text=True, timeout=180, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    segmentation, fetched, counted = _values(done.stdout)
    # The script's own days: midnight may have passed since this test began.
    days = str(segmentation["from_date"]), str(segmentation["to_date"])
    assert len(brute_force.days_between(*days)) == 30
    assert segmentation["series"] == brute_force.daily_counts_by(raw_events, "Sign Up", "$browser", *days)
    exported = len(brute_force.between(raw_events, *days))
    assert fetched["row_count"] == exported
    assert list(counted["result"][0].values()) == [exported]


def test_every_line_of_a_day_says_what_the_readme_says(tmp_path: Path, cache_dir: Path) -> None:
    table = (ROOT / "README.md").read_text().split("## Every day")[1].split("\n## ")[0]
    lines = [line for line in re.findall(r"`(harness [^`]+)`", table) if line not in ("harness verify", "harness down")]
    assert set(ELSEWHERE) <= set(lines), "a line is in README no more"
    (tmp_path / "FILE").write_text("[MCP] GET SSE failed: 400 Bad Request\n")
    last = ["harness verify", "harness bundle FILE", "harness ports free"]
    first = [line for line in lines if line not in ELSEWHERE and line not in last]
    assert first[0] == "harness up"
    with taken_down(Stack(tmp_path, cache_dir, SMALL)) as stack:
        for line in [*first, *last]:
            if line == "harness bundle FILE":
                (tmp_path / "FILE").unlink()
            ran = stack.harness(*shlex.split(line)[1:])
            assert ran.exit_code == ENDS.get(line, 0), (line, ran)
            assert ran.stdout.strip(), line


def _values(text: str) -> list[dict[str, Any]]:
    """The JSON values that stand one after another in a text."""
    decoder, at = json.JSONDecoder(), 0
    values: list[dict[str, Any]] = []
    while at < len(text.rstrip()):
        value, end = decoder.raw_decode(text, at)
        values.append(value)
        at = end + len(text[end:]) - len(text[end:].lstrip())
    return values

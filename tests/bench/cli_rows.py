"""ROWS_CLI: how long `mp` takes to say its first word."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.rows import Row


def start_of(*words: str) -> Callable[[Path], float]:
    """The median time of `mp` with these words, from its start to its end."""

    def measure(_scratch: Path) -> float:
        program = Path(sys.executable).with_name("mp")

        def once() -> float:
            start = time.perf_counter()
            subprocess.run([program, *words], check=True, capture_output=True)
            return time.perf_counter() - start

        once()
        return statistics.median(once() for _ in range(9))

    return measure


ROWS_CLI: tuple[Row, ...] = (
    Row("mp --version", "s", start_of("--version"), "< 0.25 s", lambda s: s < 0.25),
    Row("mp --help", "s", start_of("--help"), "< 0.25 s", lambda s: s < 0.25),
)

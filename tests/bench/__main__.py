"""`make bench`: every row measured in one run, or those whose names hold a given word (`make bench ARGS="make up"`).

`--soak` adds those that take minutes and gigabytes (`make bench ARGS="--soak 10 million"`).
"""

import sys
import tempfile
from pathlib import Path

from tests.bench.cli_rows import ROWS_CLI
from tests.bench.emulator_rows import ROWS_EMULATOR, ROWS_EMULATOR_SOAK
from tests.bench.fetch_rows import ROWS_FETCH, ROWS_FETCH_SOAK
from tests.bench.harness_rows import ROWS_HARNESS
from tests.bench.rows import ROWS, run
from tests.bench.server_rows import ROWS_SERVER
from tests.bench.suite_rows import ROWS_SUITE


def main(words: list[str]) -> int:
    """Print a line a row; 1 when a promise is not kept."""
    soak = (*ROWS_FETCH_SOAK, *ROWS_EMULATOR_SOAK) if "--soak" in words else ()
    rows = [*ROWS, *ROWS_CLI, *ROWS_FETCH, *ROWS_EMULATOR, *ROWS_SERVER, *ROWS_HARNESS, *ROWS_SUITE, *soak]
    wanted = " ".join(word for word in words if word != "--soak")
    chosen = [row for row in rows if wanted in row.name]
    if not chosen:
        print(f"no row holds {wanted!r}; rows are:", *(row.name for row in rows), sep="\n  ", file=sys.stderr)
        return 2
    kept = True
    width = max(len(row.name) for row in chosen)
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        for number, row in enumerate(chosen):
            figure = run(row, Path(scratch) / str(number))
            good = row.good(figure)
            kept &= good
            promise = f"   wanted {row.wanted}: {'kept' if good else 'NOT KEPT'}" if row.wanted else ""
            print(f"{row.name:<{width}}  {figure:8.2f} {row.unit}{promise}", flush=True)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

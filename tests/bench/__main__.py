"""`make bench`: every row measured in one run, or those whose names hold a given word (`make bench ARGS="make up"`)."""

import sys
import tempfile
from pathlib import Path

from tests.bench.emulator_rows import ROWS_EMULATOR
from tests.bench.rows import ROWS, run


def main(words: list[str]) -> int:
    """Print a line a row; 1 when a promise is not kept."""
    chosen = [row for row in (*ROWS, *ROWS_EMULATOR) if " ".join(words) in row.name]
    if not chosen:
        print(
            f"no row holds {' '.join(words)!r}; rows are:",
            *(row.name for row in (*ROWS, *ROWS_EMULATOR)),
            sep="\n  ",
            file=sys.stderr,
        )
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

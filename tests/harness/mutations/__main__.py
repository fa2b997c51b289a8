"""The mutation check: each tool goes wrong in each way that there is, and its cases have to notice.

    python -m tests.harness.mutations [TOOL …]

prints the table tool × what goes wrong × killed or survived; exits 1 when one survives without a reason, or when a
reason is no longer needed.
"""

import sys
from collections.abc import Sequence

from tests.harness.mutations.check import Check, Outcome, faults, line, total
from tests.harness.mutations.operators import mutants
from tests.harness.mutations.stage import stage


def main(only: Sequence[str]) -> int:
    """Print the table."""
    every = mutants()
    with stage() as on:
        check = Check(on)
        results = []
        for each in every:
            if not only or each.spec.name in only:
                results.append(check.run(each))
                if results[-1].outcome is not Outcome.UNMET:
                    sys.stdout.write(f"{line(results[-1])}\n")
                    sys.stdout.flush()
    sys.stdout.write(f"{total(results)}\n")
    wrong = faults(results, [each.name for each in every])
    # A case that is red already kills nothing, and may hide a survivor's end.
    wrong += [f"{case} is red as the tools are: {why[:300]}" for case, why in check.red.items()]
    for fault in wrong:
        sys.stderr.write(f"{fault}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

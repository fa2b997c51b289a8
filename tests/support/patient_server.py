"""Our own server without its last resort: how it ends is its own doing then, however busy the machine is.

    python -m tests.support.patient_server [--grace SECONDS] [OPTION OF mp-mcp-server…]

--grace  how long calls in flight may take to finish when it is told to end; the server's own time when left out
"""

import argparse
import sys

from mp_mcp_server import cli, piped, serving

NEVER_S = 86_400


def main() -> int:
    """Serve as `mp-mcp-server` does, until told to stop and then until all is done."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--grace", type=int, default=serving._GRACE_S)
    options, rest = parser.parse_known_args()
    serving._GRACE_S = options.grace
    serving._GONE_AFTER_S = piped._GONE_AFTER_S = NEVER_S
    return cli.main(rest)


if __name__ == "__main__":
    sys.exit(main())

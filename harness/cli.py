"""`harness`: the families of commands put together, and the rim at which errors become exit codes.

Everything heavier than the parser is imported by the command that needs it.
"""

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from harness.commands import (
    asking,
    begin,
    bundle,
    creds,
    docs,
    doctor,
    life,
    logs,
    nginx,
    ports,
    record,
    setting,
    suite,
)
from harness.errors import Exit, HarnessError

PROGRAM = "harness"
FULL = (errno.ENOSPC, errno.EDQUOT)
app = typer.Typer(
    name=PROGRAM,
    help="Run, watch and verify a Mixpanel MCP stack on this machine.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for family in (life, logs, asking, ports, nginx, setting, docs, creds, record, suite, doctor, bundle):
    begin.take_stack(family.app)
    app.add_typer(family.app)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        from harness.output import write

        write(f"harness version {version('mixpanel-data')}")
        raise typer.Exit


@app.callback()
def _all(
    _version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and end.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """What every command line may begin with."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; the rim at which errors become an envelope on standard error and an exit code.

    Args:
        arguments: the words behind `harness`, those of the process when None
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    json = "--json" in words
    _lead_nowhere_what_is_closed()
    try:
        return _run(words)
    except HarnessError as error:
        return _tell(error, json=json)
    except typer.TyperException as error:
        what = error.format_message() or "no command"
        # An error of usage knows which command it is about.
        command = getattr(getattr(error, "ctx", None), "command_path", PROGRAM)
        usage = HarnessError("USAGE", what, fix=f"see {command} --help", exit_code=Exit.USAGE)
        return _tell(usage, json=json)
    except BrokenPipeError:
        # Whoever read our output has gone; writing more, also at the interpreter's end, would only complain.
        sys.stdout = None
        return Exit.GOOD
    except (KeyboardInterrupt, typer.Abort):
        return Exit.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the rim: an unexpected error leaves a log, and no traceback in the face
        return _tell(_internal(error), json=json)


def _run(words: list[str]) -> int:
    begin.anew()
    if sys.platform != "linux" and not {"--help", "--show-completion", "--install-completion"} & set(words):
        raise HarnessError(
            "NOT_LINUX",
            f"harness tells processes and ports apart by means that only Linux has, and this is {sys.platform}",
            fix="run it on Linux, in a container or a virtual machine; mp and mp-mcp-server run here too",
            exit_code=Exit.COULD_NOT_CHECK,
        )
    code = app(words, prog_name=PROGRAM, standalone_mode=False)
    return int(code or 0)


def _lead_nowhere_what_is_closed() -> None:
    """Open the standard streams that the caller has closed: else the next file gets the number of one, and its text."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free is the one that is given.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def _tell(error: HarnessError, *, json: bool) -> int:
    from harness.output import show_error

    show_error(error, json=json)
    return error.exit_code


def _internal(error: Exception) -> HarnessError:
    if isinstance(error, OSError) and error.errno in FULL:
        return _full(error)
    report = "".join(traceback.format_exception(error))
    try:
        settings = begin.settings()
        secret = settings.environment.get("MP_SECRET")
        where = begin.state(settings).note_crash(report.replace(secret, "…") if secret else report)
        fix = f"report it with the traceback, which is in {where}"
    except (HarnessError, OSError) as second:
        fix = f"report it; the traceback could not be kept: {second}"
    return HarnessError(
        "INTERNAL", f"harness itself failed: {type(error).__name__}", fix=fix, exit_code=Exit.COULD_NOT_CHECK
    )


def _full(error: OSError) -> HarnessError:
    """Room that is wanting is no fault of the program, and a report of it could not be kept either."""
    try:
        kept_in = f", where the state is kept ({begin.settings().state_dir}) for one"
    except HarnessError:
        kept_in = ""
    return HarnessError(
        "NO_ROOM", f"{error.strerror}: {error.filename or 'a file'}", fix=f"make room{kept_in}; see harness doctor"
    )


if __name__ == "__main__":
    sys.exit(main())

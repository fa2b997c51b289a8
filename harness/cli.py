"""`harness`: the families of commands put together, and the rim at which errors become exit codes.

Everything heavier than the parser is imported by the command that needs it.
"""

import sys
import traceback
from collections.abc import Sequence

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

app = typer.Typer(
    name="harness",
    help="Run, watch and verify a Mixpanel MCP stack on this machine.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for family in (life, logs, asking, ports, nginx, setting, docs, creds, record, suite, doctor, bundle):
    begin.take_stack(family.app)
    app.add_typer(family.app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; the rim at which errors become an envelope on standard error and an exit code.

    Args:
        arguments: the words behind `harness`, those of the process when None
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    json = "--json" in words
    try:
        return _run(words)
    except HarnessError as error:
        return _tell(error, json=json)
    except typer.TyperException as error:
        what = error.format_message() or "no command"
        usage = HarnessError("USAGE", what, fix="see harness --help", exit_code=Exit.USAGE)
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
    code = app(words, standalone_mode=False)
    return int(code or 0)


def _tell(error: HarnessError, *, json: bool) -> int:
    from harness.output import show_error

    show_error(error, json=json)
    return error.exit_code


def _internal(error: Exception) -> HarnessError:
    report = "".join(traceback.format_exception(error))
    try:
        settings = begin.settings()
        secret = settings.environment.get("MP_SECRET")
        where = str(begin.state(settings).note_crash(report.replace(secret, "…") if secret else report))
    except (HarnessError, OSError) as second:
        where = f"nowhere, since {second}"
    return HarnessError(
        "INTERNAL",
        f"harness itself failed: {type(error).__name__}",
        fix=f"report it with the traceback, which is in {where}",
        exit_code=Exit.COULD_NOT_CHECK,
    )


if __name__ == "__main__":
    sys.exit(main())

"""`mp`, the command line: parse, one call, show. `main` is the one place where an error becomes a text and a number."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer

from mixpanel_data import __version__, errors
from mixpanel_data.cli import output, terminal
from mixpanel_data.cli.command import Group
from mixpanel_data.cli.session import Globals

# The first class that an error is of decides; the last stands for all others.
EXIT_CODES: tuple[tuple[type[Exception], int], ...] = (
    (terminal.NotConfirmedError, 2),
    (errors.AuthenticationError, 2),
    (errors.QueryError, 3),
    (errors.DateRangeTooLargeError, 3),
    (errors.AccountNotFoundError, 4),
    (errors.EventNotFoundError, 4),
    (errors.TableNotFoundError, 4),
    (FileNotFoundError, 4),
    (errors.RateLimitError, 5),
    (errors.MixpanelDataError, 1),
)
# What helps on a command line, where that is not what helps in Python.
FIXES: dict[type[Exception], str] = {
    errors.TableExistsError: "give --append to add to it, --replace to have it in its place, or another name",
    errors.TableNotFoundError: "see what is there: mp inspect tables",
    errors.DatabaseNotFoundError: "fetch something first: mp fetch events --from DAY --to DAY",
    errors.DateRangeTooLargeError: "fetch it with --parallel, or fewer days at a time, the next ones with --append",
}
EPILOG = """
Exit codes: 0 good; 1 general, also when parts of a parallel fetch failed; 2 authentication, a wrong command line, not
confirmed; 3 wrong arguments or query; 4 not found; 5 rate limit; 130 interrupted.

Data goes to stdout, everything else to stderr. Who stops reading our output ends us with 0. MP_PLAIN=1 or NO_COLOR: no
colours. MP_ACCOUNT: the account where neither --account nor the four MP_* variables name one.
"""
GENERAL = 1
USAGE = 2
INVALID = 3
INTERRUPTED = 130

# Name → what it is for, and the modules that its commands stand in.
GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "auth": ("Accounts: which apply, and whether they work.", ("mixpanel_data.cli.auth",)),
    "fetch": ("Copy events and profiles into local tables.", ("mixpanel_data.cli.fetch",)),
    "query": ("Ask Mixpanel, or the local tables by SQL.", ("mixpanel_data.cli.query",)),
    "inspect": (
        "See what exists: in the project, and in the local tables.",
        ("mixpanel_data.cli.inspect_live", "mixpanel_data.cli.inspect_local"),
    ),
}


class _Root(Group):
    """`mp` itself; leaves errors to `main`."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands.update({name: Group.lazy(name, *row) for name, row in GROUPS.items()})

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, *_: Any, **given: Any) -> Any:
        program = prog_name or "mp"
        self._main_shell_completion({}, program)
        with self.make_context(program, list(args or ()), **given) as ctx:
            return self.invoke(ctx)


app = typer.Typer(
    name="mp",
    cls=_Root,
    help="Mixpanel from the command line.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        output.write(f"mp version {__version__}\n")
        raise typer.Exit


@app.callback()
def options(
    ctx: typer.Context,
    account: Annotated[
        str | None,
        typer.Option("--account", "-a", help="An account of the configuration file; else what the environment says."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Nothing on stderr but errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say everything, and all of an error.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Mixpanel from the command line."""
    given = ctx.ensure_object(Globals)
    given.account, given.quiet, given.verbose = account or None, quiet, verbose


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `mp` and end with its exit code, as `EPILOG` has them.

    Args:
        arguments: the words behind `mp`, those of the process when None
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Whatever the locale: data has one encoding, and an unpaired surrogate in it is no reason to stop.
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    code = _run(words)
    try:
        output.flush()
    except (OSError, output.ReaderGoneError):
        # What is left after an error. The interpreter's end would try it once more, and complain.
        _drop_output()
    sys.exit(code)


def exit_code(error: errors.MixpanelDataError) -> int:
    """The number that the public contract gives to that error."""
    if isinstance(error, ValueError):
        return INVALID
    return next(code for kind, code in EXIT_CODES if isinstance(error, kind))


def _run(words: list[str]) -> int:
    given = Globals()
    try:
        code = _invoked(words, given)
        output.flush()
    except output.ReaderGoneError:
        return 0
    except (KeyboardInterrupt, typer.Abort) as end:
        return _interrupted(end)
    except Exception as error:  # noqa: BLE001 -- the rim: no traceback in the face of who did nothing wrong
        return _interrupted(error) if _is_interruption(error) else _told(error, verbose=given.verbose)
    return code


def _is_interruption(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind it. The engine makes an error of its own of it, and cleaning up may make another."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt) or (type(error) is RuntimeError and str(error) == "Query interrupted"):
            return True
        error = error.__cause__ or error.__context__
    return False


def _interrupted(end: BaseException) -> int:
    # A fetch that was ended says what it has stored and how to go on.
    output.notice("\n".join(["interrupted", *getattr(end, "__notes__", ())]))
    return INTERRUPTED


def _invoked(words: list[str], given: Globals) -> int:
    try:
        typer.main.get_command(app).main(words, "mp", obj=given)
    except typer.Exit as end:
        return end.exit_code
    except SystemExit as end:  # typer's completion ends so
        return end.code if isinstance(end.code, int) else 0
    return 0


def _told(error: Exception, *, verbose: bool) -> int:
    """Put the error into words on stderr, and into a number."""
    if isinstance(error, errors.MixpanelDataError):
        output.complain(error.cause, FIXES.get(type(error), error.fix), error.to_dict() if verbose else None)
        return exit_code(error)
    if isinstance(error, typer.TyperException):
        return _usage(error)
    if isinstance(error, OSError):
        what = ": ".join(str(part) for part in (error.strerror or error, error.filename) if part)
        output.complain(what, "make room, or check the path and its permissions")
        return GENERAL
    text = "".join(traceback.format_exception(error)) if verbose else f"{type(error).__name__}: {error}"
    if isinstance(error, ValueError):
        output.complain(text, None)
        return INVALID
    output.complain(f"mp itself failed: {text}", None if verbose else "say mp --verbose …, and report what it prints")
    return GENERAL


def _usage(error: typer.TyperException) -> int:
    context = getattr(error, "ctx", None)
    text = error.format_message()
    if text.startswith("Usage:") and context is not None:
        output.notice(text)  # a group that was given nothing to do shows what it could
    else:
        command = context.command_path if context is not None else "mp"
        output.complain(text, f"see {command} --help")
    return USAGE


def _drop_output() -> None:
    """Send what is left of the output nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


if __name__ == "__main__":
    main()

"""`mp`, the command line: parse, one call, show. `main` is the one place where an error becomes a text and a number."""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

from mixpanel_data import __version__, errors
from mixpanel_data.cli import auth, output

# The first class that an error is of decides; the last stands for all others.
EXIT_CODES: tuple[tuple[type[Exception], int], ...] = (
    (errors.AuthenticationError, 2),
    (errors.QueryError, 3),
    (errors.DateRangeTooLargeError, 3),
    (errors.AccountNotFoundError, 4),
    (errors.TableNotFoundError, 4),
    (errors.DatabaseNotFoundError, 4),
    (errors.RateLimitError, 5),
    (errors.MixpanelDataError, 1),
)
INTERRUPTED = 130

app = typer.Typer(
    name="mp",
    help="Mixpanel from the command line.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(auth.app, name="auth")


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"mp version {__version__}\n")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Mixpanel from the command line."""


def main() -> NoReturn:
    """Run `mp`; exit 0, or 1 general, 2 authentication, usage, 3 query, 4 not found, 5 rate limit, 130 interrupted."""
    try:
        app()
    except errors.MixpanelDataError as error:
        output.complain(error.cause, error.fix)
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    sys.exit(0)


def exit_code(error: errors.MixpanelDataError) -> int:
    """The number that the public contract gives to that error."""
    if isinstance(error, ValueError):
        return 3
    return next(code for kind, code in EXIT_CODES if isinstance(error, kind))


if __name__ == "__main__":
    main()

"""`mp auth`: the credentials."""

from __future__ import annotations

from typing import Annotated

import typer

from mixpanel_data.cli import output

app = typer.Typer(help="Credentials: which apply, and whether they work.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Credentials: which apply, and whether they work."""


@app.command("test")
def check_credentials(
    name: Annotated[str | None, typer.Argument(help="An account of the configuration file; else what applies.")] = None,
    form: Annotated[output.Format, typer.Option("--format", "-f", help="How to show it.")] = output.Format.JSON,
) -> None:
    """Ask Mixpanel one cheap question with the credentials that apply."""
    from mixpanel_data.workspace import Workspace

    output.show(Workspace.test_credentials(name), form)

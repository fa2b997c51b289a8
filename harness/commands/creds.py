"""`creds`: whether the runbook's four credentials are there and real."""

from pathlib import Path

import typer

from harness.commands import begin

app = typer.Typer()


@app.command()
def creds(json: begin.Json = False) -> None:
    """Try the four MP_* credentials; say which is wrong."""
    from harness import output
    from harness.creds.report import report

    environment = begin.settings().environment
    found = report(environment, Path(environment.get("HOME") or Path.home()))
    output.show(found.to_dict(), found.text(), json=json)
    raise typer.Exit(found.exit_code)

"""`docs`: the generated tables of README files."""

from dataclasses import asdict
from typing import Annotated

import typer

from harness.commands import begin
from harness.errors import Exit

app = typer.Typer()


@app.command()
def docs(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 naming what is stale.")] = False,
    json: begin.Json = False,
) -> None:
    """Write the generated tables of README files."""
    from harness import docs as tables
    from harness import output

    found = tables.write(begin.settings().root, check=check)
    output.show(asdict(found), found.text(check=check), json=json)
    raise typer.Exit(Exit.FAILED if check and found.stale else Exit.GOOD)

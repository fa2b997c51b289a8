"""`verify`, `call`: ask what runs."""

from typing import Annotated

import typer

from harness.commands import begin
from harness.errors import Exit

app = typer.Typer()


@app.command()
def verify(json: begin.Json = False) -> None:
    """Prove anew, rung by rung, that all of it works."""
    from harness import fallback, output, real_client
    from harness.verify import verify as climb

    settings = begin.settings()
    report = climb(begin.state(settings), begin.services(), client=real_client.find(settings))
    text = output.verify_text(report.to_dict())
    text += "\n" + fallback.text(report.streaming) if report.streaming else ""
    text += "\n" + real_client.text(report.clients) if report.clients else ""
    output.show(report.to_dict(), text, json=json)
    raise typer.Exit(Exit.GOOD if report.good else Exit.FAILED)


@app.command()
def call(
    tool: Annotated[str, typer.Argument(help="The tool's name.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Its arguments, read by its input schema.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that the answer may take.")] = 600.0,
    json: begin.Json = False,
) -> None:
    """Call a tool of the server; print its JSON."""
    from json import dumps

    from harness import output
    from harness.calls import call as ask
    from harness.stack.look import running

    service, port = running(begin.state(begin.settings()), begin.services(), "mcp")
    answer = ask(port, service.path, tool, arguments or [], timeout)
    output.show(answer, dumps(answer, ensure_ascii=False, indent=2), json=json)

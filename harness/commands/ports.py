"""`ports`, `ports free`: who holds the stack's ports."""

import sys
from typing import Annotated, Any

import typer

from harness.commands import begin

app = typer.Typer()
ports = typer.Typer(help="List the stack's ports and who holds them; free them.", rich_markup_mode=None)
app.add_typer(ports, name="ports")


@ports.callback(invoke_without_command=True)
def show(context: typer.Context, json: begin.Json = False, stack: begin.StackName = None) -> None:
    """List the stack's ports and who holds them: ours, stale ours, stranger, free."""
    begin.choose_stack(stack)
    if context.invoked_subcommand is not None:
        return
    from harness import output
    from harness.stack import holders
    from harness.stack.service import of_stack

    settings = begin.running_settings()
    found = holders.survey(begin.state(settings), of_stack(begin.services(), settings), settings)
    rows: list[dict[str, Any]] = [each.to_dict() for each in found]
    text = "\n".join(str(each) for each in found) or "none yet: this stack chooses its ports when it comes up"
    output.show({"ports": rows}, text, json=json)


@ports.command()
def free(
    port: Annotated[int | None, typer.Argument(min=1, max=65535, help="Which one; all of the stack's if none.")] = None,
    *,
    take_port: Annotated[bool, typer.Option("--take-port", help="End strangers, too, if they are yours.")] = False,
    json: begin.Json = False,
) -> None:
    """End who holds them: what is ours, strangers only with --take-port."""
    from dataclasses import asdict

    from harness import output
    from harness.progress import Lines
    from harness.stack import holders
    from harness.stack.service import of_stack
    from harness.stack.up import LOCK_WAIT_S

    settings = begin.running_settings()
    told = Lines(sys.stderr)
    freed = holders.free(
        begin.state(settings),
        of_stack(begin.services(), settings),
        settings,
        port=port,
        take_port=take_port,
        tell=lambda text: None if json else told.note(text),
        deadline_s=LOCK_WAIT_S,
    )
    ended = ", ".join(f"pid {pid} on port {number}" for pid, number in freed.ended) or "nothing: they were free"
    output.show(asdict(freed), f"ended {ended}", json=json)

"""`up`, `restart`, `down`, `status`: the life of a stack."""

import contextlib
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from harness.commands import begin

if TYPE_CHECKING:
    from harness.settings import Settings
    from harness.stack.up import Wish

app = typer.Typer()
Services = Annotated[
    list[str] | None,
    typer.Argument(help="Which services; all when none is named.", autocompletion=begin.names_beginning),
]


@app.command()
def up(
    services: Services = None,
    *,
    fresh: Annotated[bool, typer.Option("--fresh", help="Take a running stack down first.")] = False,
    attach: Annotated[bool, typer.Option("--attach", help="Show all lines as they come; Ctrl-C ends all.")] = False,
    take_port: Annotated[bool, typer.Option("--take-port", help="End a process of yours that holds a port.")] = False,
    ports: Annotated[Literal["fixed", "auto"] | None, typer.Option(help="The settings' ports, or any free.")] = None,
    data: Annotated[Path | None, typer.Option(help="A raw Mixpanel export (JSONL or .gz) as the data.")] = None,
    target: Annotated[
        Literal["emulator", "live", "replay"] | None, typer.Option(help="What stands behind the server.")
    ] = None,
    copilot_dir: Annotated[Path | None, typer.Option(help="A checkout of the real copilot to run.")] = None,
    seed: Annotated[int | None, typer.Option(help="The data set's seed.")] = None,
    users: Annotated[int | None, typer.Option(help="Users in the data set.")] = None,
    days: Annotated[int | None, typer.Option(help="Days in the data set.")] = None,
    no_stories: Annotated[bool, typer.Option("--no-stories", help="A data set without planted stories.")] = False,
    now: Annotated[str | None, typer.Option(help="The instant at which the clock stands, ISO 8601.")] = None,
    deadline: Annotated[float | None, typer.Option(help="Seconds that all of it may take.")] = None,
    json: begin.Json = False,
) -> None:
    """Start what does not run yet; say where all is."""
    from harness.stack.up import Wish

    settings = begin.settings(
        {
            "stack.ports": ports,
            "emulator.data": data,
            "stack.target": target,
            "copilot.dir": copilot_dir,
            "emulator.seed": seed,
            "emulator.users": users,
            "emulator.days": days,
            "emulator.stories": False if no_stories else None,
            "emulator.now": now,
            "stack.deadline_s": deadline,
        }
    )
    wish = Wish(tuple(services or ()), fresh=fresh, take_port=take_port)
    if attach:
        from harness.stack.attach import attach as stay

        raise typer.Exit(stay(settings, begin.services(), wish, json=json))
    _bring_up(settings, wish, json=json)


@app.command()
def restart(
    services: Services = None,
    *,
    deadline: Annotated[float | None, typer.Option(help="Seconds that all of it may take.")] = None,
    json: begin.Json = False,
) -> None:
    """End services of a running stack and start them again."""
    from harness.stack.up import Wish

    named = tuple(services or ())
    _bring_up(begin.settings({"stack.deadline_s": deadline}), Wish(named, again=named), json=json)


@app.command()
def down(json: begin.Json = False) -> None:
    """End what `up` started; prove its ports free."""
    from harness import output
    from harness.progress import progress
    from harness.stack.down import down as take_down
    from harness.stack.up import LOCK_WAIT_S

    settings = begin.settings()
    with contextlib.closing(progress(as_json=json, environment=settings.environment)) as shown:
        result = take_down(
            begin.state(settings),
            begin.services(),
            grace_s=settings.values.stack.grace_s,
            deadline_s=settings.values.stack.deadline_s or LOCK_WAIT_S,
            ask=not json and sys.stdin.isatty(),
            progress=shown,
        )
    output.show(asdict(result), output.down_text(asdict(result)), json=json)


@app.command()
def status(
    timing: Annotated[bool, typer.Option("--timing", help="Show what the last start waited for.")] = False,
    json: begin.Json = False,
) -> None:
    """Say what runs, and what died, when and how."""
    from harness import output
    from harness.stack import timing as times
    from harness.stack.look import status as look
    from harness.stack.service import of_stack, usual

    settings = begin.settings()
    own = of_stack(begin.services(), settings)
    found = look(begin.state(settings), own, usual(own, settings))
    text = output.status_text(found.to_dict())
    if timing:
        text += "\n\n" + (times.text(found.timing) if found.timing else "nothing was started here yet")
    output.show(found.to_dict(), text, json=json)
    raise typer.Exit(found.exit_code)


def _bring_up(settings: "Settings", wish: "Wish", *, json: bool) -> None:
    from harness import output
    from harness.progress import progress
    from harness.stack import processes
    from harness.stack.up import up as bring_up

    with (
        processes.ending_by_signal(),
        contextlib.closing(progress(as_json=json, environment=settings.environment)) as shown,
    ):
        result = bring_up(settings, begin.services(), wish, progress=shown).to_dict()
    output.show(result, output.up_text(result, settings.values.stack.name), json=json)

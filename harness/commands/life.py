"""`up`, `down`, `status`, `logs`: the life of a stack."""

import contextlib
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from harness.commands import begin
from harness.errors import Exit, HarnessError

app = typer.Typer()


@app.command()
def up(
    services: Annotated[list[str] | None, typer.Argument(help="Which services; all when none is named.")] = None,
    *,
    fresh: Annotated[bool, typer.Option("--fresh", help="Take a running stack down first.")] = False,
    data: Annotated[Path | None, typer.Option(help="A raw Mixpanel export (JSONL or .gz) as the data.")] = None,
    target: Annotated[Literal["emulator", "live"] | None, typer.Option(help="What stands behind the server.")] = None,
    seed: Annotated[int | None, typer.Option(help="The data set's seed.")] = None,
    users: Annotated[int | None, typer.Option(help="Users in the data set.")] = None,
    days: Annotated[int | None, typer.Option(help="Days in the data set.")] = None,
    no_stories: Annotated[bool, typer.Option("--no-stories", help="A data set without planted stories.")] = False,
    now: Annotated[str | None, typer.Option(help="The instant at which the clock stands, ISO 8601.")] = None,
    deadline: Annotated[float | None, typer.Option(help="Seconds that all of it may take.")] = None,
    json: begin.Json = False,
) -> None:
    """Start what does not run yet; say where all is."""
    from harness import output
    from harness.progress import progress
    from harness.stack.up import up as bring_up

    settings = begin.settings(
        {
            "emulator.data": data,
            "stack.target": target,
            "emulator.seed": seed,
            "emulator.users": users,
            "emulator.days": days,
            "emulator.stories": False if no_stories else None,
            "emulator.now": now,
            "stack.deadline_s": deadline,
        }
    )
    with contextlib.closing(progress(as_json=json, environment=settings.environment)) as shown:
        result = bring_up(settings, begin.services(), wanted=services or (), fresh=fresh, progress=shown)
    stack = result.stack
    found = {
        "target": stack.launch["stack.target"],
        "services": [
            {
                "name": name,
                "deed": deed,
                "pid": stack.members[name].process.pid,
                "port": stack.members[name].port,
                "url": stack.members[name].url,
                "ready_s": stack.members[name].ready_s,
            }
            for name, deed in result.deeds.items()
        ],
        "facts": stack.facts,
        "notes": list(result.notes),
        "state_dir": str(settings.state_dir),
    }
    output.show(found, output.up_text(found), json=json)


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
            progress=shown,
        )
    output.show(asdict(result), output.down_text(asdict(result)), json=json)


@app.command()
def status(json: begin.Json = False) -> None:
    """Say what runs, and what died, when and how."""
    from harness import output
    from harness.stack.look import status as look
    from harness.stack.services import for_target

    settings = begin.settings()
    found = look(begin.state(settings), for_target(begin.services(), settings.values.stack.target))
    output.show(found.to_dict(), output.status_text(found.to_dict()), json=json)
    raise typer.Exit(found.exit_code)


@app.command()
def logs(
    service: Annotated[str | None, typer.Argument(help="Which service; all when none is named.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("-n", min=0, help="How many of the last lines of each service.")] = 50,
    json: begin.Json = False,
) -> None:
    """Show what the services of the last run wrote."""
    from harness import output
    from harness.stack import logs as written
    from harness.stack.plan import check_names

    state = begin.state(begin.settings())
    check_names(begin.services(), [service] if service else [])
    chosen = [service] if service else [each.name for each in begin.services()]
    there = chosen if follow else [name for name in chosen if state.log(name).exists()]
    if not there:
        raise HarnessError(
            "NO_LOGS", "nothing was started here yet", fix="start it: harness up", exit_code=Exit.NOT_RUNNING
        )
    for lines_of in (written.last(state, there, lines), written.follow(state, there) if follow else ()):
        for name, line in lines_of:
            output.show({"service": name, "line": line}, output.log_text(name, line, there), json=json)

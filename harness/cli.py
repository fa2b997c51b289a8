"""`harness`: parse, one call, show. Everything heavier than the parser is imported by the command that needs it."""

import contextlib
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from harness.errors import Exit, HarnessError

if TYPE_CHECKING:
    from harness.settings import Settings
    from harness.stack.services import Service
    from harness.stack.state import StateDirectory

app = typer.Typer(
    name="harness",
    help="Run, watch and verify a Mixpanel MCP stack on this machine.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="One JSON value for a program, errors too.")]


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
    json: Json = False,
) -> None:
    """Start what does not run yet; say where all is."""
    from harness import output
    from harness.progress import progress
    from harness.stack.up import up as bring_up

    settings = _settings(
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
        result = bring_up(settings, _services(), wanted=services or (), fresh=fresh, progress=shown)
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
def down(json: Json = False) -> None:
    """End what `up` started; prove its ports free."""
    from harness import output
    from harness.progress import progress
    from harness.stack.down import down as take_down
    from harness.stack.up import LOCK_WAIT_S

    settings = _settings()
    with contextlib.closing(progress(as_json=json, environment=settings.environment)) as shown:
        result = take_down(
            _state(settings),
            _services(),
            grace_s=settings.values.stack.grace_s,
            deadline_s=settings.values.stack.deadline_s or LOCK_WAIT_S,
            progress=shown,
        )
    output.show(asdict(result), output.down_text(asdict(result)), json=json)


@app.command()
def status(json: Json = False) -> None:
    """Say what runs, and what died, when and how."""
    from harness import output
    from harness.stack.look import status as look
    from harness.stack.services import for_target

    settings = _settings()
    found = look(_state(settings), for_target(_services(), settings.values.stack.target))
    output.show(found.to_dict(), output.status_text(found.to_dict()), json=json)
    raise typer.Exit(found.exit_code)


@app.command()
def logs(
    service: Annotated[str | None, typer.Argument(help="Which service; all when none is named.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("-n", min=0, help="How many of the last lines of each service.")] = 50,
    json: Json = False,
) -> None:
    """Show what the services of the last run wrote."""
    from harness import output
    from harness.stack import logs as written
    from harness.stack.plan import check_names

    state = _state(_settings())
    check_names(_services(), [service] if service else [])
    chosen = [service] if service else [each.name for each in _services()]
    there = chosen if follow else [name for name in chosen if state.log(name).exists()]
    if not there:
        raise HarnessError(
            "NO_LOGS", "nothing was started here yet", fix="start it: harness up", exit_code=Exit.NOT_RUNNING
        )
    for lines_of in (written.last(state, there, lines), written.follow(state, there) if follow else ()):
        for name, line in lines_of:
            output.show({"service": name, "line": line}, output.log_text(name, line, there), json=json)


@app.command()
def verify(json: Json = False) -> None:
    """Prove anew, rung by rung, that all of it works."""
    from harness import output
    from harness.verify import verify as climb

    report = climb(_state(_settings()), _services())
    output.show(report.to_dict(), output.verify_text(report.to_dict()), json=json)
    raise typer.Exit(Exit.GOOD if report.good else Exit.FAILED)


@app.command()
def call(
    tool: Annotated[str, typer.Argument(help="The tool's name.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Its arguments, read by its input schema.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that the answer may take.")] = 600.0,
    json: Json = False,
) -> None:
    """Call a tool of the server; print its JSON."""
    from json import dumps

    from harness import output
    from harness.calls import call as ask
    from harness.stack.look import running

    service, port = running(_state(_settings()), _services(), "mcp")
    answer = ask(port, service.path, tool, arguments or [], timeout)
    output.show(answer, dumps(answer, ensure_ascii=False, indent=2), json=json)


@app.command()
def docs(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 naming what is stale.")] = False,
    json: Json = False,
) -> None:
    """Write the generated tables of README files."""
    from harness import docs as tables
    from harness import output

    found = tables.write(_settings().root, check=check)
    output.show(asdict(found), found.text(check=check), json=json)
    raise typer.Exit(Exit.FAILED if check and found.stale else Exit.GOOD)


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
        settings = _settings()
        secret = settings.environment.get("MP_SECRET")
        where = str(_state(settings).note_crash(report.replace(secret, "…") if secret else report))
    except (HarnessError, OSError) as second:
        where = f"nowhere, since {second}"
    return HarnessError(
        "INTERNAL",
        f"harness itself failed: {type(error).__name__}",
        fix=f"report it with the traceback, which is in {where}",
        exit_code=Exit.COULD_NOT_CHECK,
    )


def _settings(options: dict[str, Any] | None = None) -> "Settings":
    from harness.settings import load

    return load(options)


def _state(settings: "Settings") -> "StateDirectory":
    from harness.stack.state import StateDirectory

    return StateDirectory(settings.state_dir)


def _services() -> "tuple[Service, ...]":
    from harness.stack import services

    return services.SERVICES


if __name__ == "__main__":
    sys.exit(main())

"""`bundle`: one file for a colleague, and such a file read."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from harness.commands import begin
from harness.errors import Exit, HarnessError

app = typer.Typer()


@app.command()
def bundle(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE] | show FILE", help="The file to make, or the one to read.")
    ] = None,
    *,
    log: Annotated[str | None, typer.Option(help="With show: print this log instead.")] = None,
    json: begin.Json = False,
) -> None:
    """Make one file for a colleague, without secrets; show reads it."""
    match words or []:
        case ["show", file]:
            _show(Path(file), log, json=json)
        # A file of that very name is given as ./show.
        case [] | [_] if log is None and words != ["show"]:
            _make(Path(words[0]) if words else None, json=json)
        case _:
            raise HarnessError(
                "USAGE",
                f"harness bundle does not understand {' '.join(words or ['--log'])}",
                fix="make one: harness bundle [FILE]; read one: harness bundle show FILE [--log NAME]",
                exit_code=Exit.USAGE,
            )


def _make(path: Path | None, *, json: bool) -> None:
    from harness import clock, output
    from harness.bundle import archive, making

    settings, error = making.settings_or_error()
    target = (path or Path(f"harness-bundle-{clock.now():%Y%m%dT%H%M%S}.zip")).absolute()
    raw = making.make(settings, begin.services(), error)
    archive.write(target, raw)
    shown = shlex.quote(str(target))
    told = {"file": str(target), "bytes": len(raw)}
    output.show(told, f"{target}, {len(raw):,} bytes; look into it first: harness bundle show {shown}", json=json)


def _show(path: Path, log: str | None, *, json: bool) -> None:
    from harness import output
    from harness.bundle import archive, text
    from harness.errors import nearest

    found = archive.read(path)
    if log is None:
        value = {**found.report.model_dump(mode="json"), "texts": dict(found.logs)}
        output.show(value, text.shown(found), json=json)
        return
    if log not in found.logs:
        raise HarnessError(
            "NO_SUCH_LOG", f"the bundle has no log {log!r}", fix=nearest(log, list(found.logs)), exit_code=Exit.USAGE
        )
    output.show({"name": log, "text": found.logs[log]}, text.safe(found.logs[log]), json=json)

"""`suite`: every case of every tool, from recordings."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands import begin
from harness.errors import Exit, HarnessError, nearest

if TYPE_CHECKING:
    from harness.suite.report import Report, Result

app = typer.Typer()


@app.command()
def suite(
    *,
    tool: Annotated[list[str] | None, typer.Option(help="A tool whose cases are run; may be repeated.")] = None,
    case: Annotated[list[str] | None, typer.Option(help="A case by its name; may be repeated.")] = None,
    way: Annotated[
        list[str] | None, typer.Option(help="How it is called: http when unset, handshake, copilot, stdio, sse.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=16, help="How many servers play at once.")] = 2,
    shuffle: Annotated[int | None, typer.Option(help="A seed: run the cases in another order.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit's XML there.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page there.")] = None,
    tapes: Annotated[Path | None, typer.Option(help="Where tapes are, fixtures/cassettes when unset.")] = None,
    tapes_only: Annotated[
        bool,
        typer.Option("--tapes-only", help="Leave out the cases that no tape can hold, and the emulator with them."),
    ] = False,
    guards_only: Annotated[
        bool, typer.Option("--guards-only", help="Take no network of its own, though it could be had.")
    ] = False,
    json: begin.Json = False,
) -> None:
    """Run every case of every tool, from recordings."""
    from harness import output
    from harness.cassettes import launch
    from harness.suite import isolation, page, report, run, ways

    for name in way or ():
        if name not in ways.WAYS:
            raise HarnessError(
                "UNKNOWN_WAY", f"{name!r} is no way in", fix=nearest(name, list(ways.WAYS)), exit_code=Exit.USAGE
            )
    settings = begin.settings()
    wish = run.Wish(
        tapes=tapes.resolve() if tapes else (settings.root or Path.cwd()) / launch.TAPES,
        ways=tuple(way or ("http",)),
        cases=run.chosen(tool or (), case or ()),
        tapes_only=tapes_only,
        workers=workers,
        seed=shuffle,
        cache_dir=settings.values.emulator.cache_dir,
    )
    alone = isolation.guarded("it was not wished for") if guards_only else isolation.enter()
    made = run.run(
        wish, settings.state_dir / "suite", settings.environment, alone, tell=(lambda _: None) if json else _tell
    )
    if junit:
        report.write(junit, report.junit(made))
    if html:
        report.write(html, page.page(made))
    output.show(made.to_dict(), report.text(made), json=json)
    raise typer.Exit(_exit(made))


def _exit(made: "Report") -> Exit:
    return Exit.GOOD if made.good else Exit.FAILED


def _tell(result: "Result") -> None:
    """A line for a person on standard error."""
    sign = "✓" if result.good else "✗"
    took = f"{result.verdict.seconds * 1000:7.0f} ms"
    sys.stderr.write(f"{sign} {took}  {result.case.id} by {result.verdict.way}\n")

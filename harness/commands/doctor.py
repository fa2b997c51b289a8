"""`doctor`, `explain`: what does not hold, which of it is the root, and what mends it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from harness.commands import begin
from harness.errors import Exit, HarnessError

app = typer.Typer()


@app.command()
def doctor(
    *,
    only: Annotated[list[str] | None, typer.Option("--only", help="Ids of checks, separated by commas.")] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Do what is safe, and look again.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --fix: do not ask; needed without a terminal.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what --fix would do.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 3 when there are warnings.")] = False,
    junit: Annotated[Path | None, typer.Option(help="Write the result as JUnit's XML, too.")] = None,
    json: begin.Json = False,
) -> None:
    """Check everything; name the root cause first."""
    from harness import output
    from harness.doctor import mending, report
    from harness.doctor.catalogue import CHECKS
    from harness.doctor.examination import Examination, examine

    if yes and not fix:
        raise HarnessError(
            "NOTHING_TO_SAY_YES_TO", "--yes goes with --fix", fix="harness doctor --fix --yes", exit_code=Exit.USAGE
        )
    settings, services = begin.settings(), begin.services()

    def look() -> Examination:
        return examine(settings, services, CHECKS, [name for each in only or () for name in each.split(",") if name])

    found = look()
    value = found.to_dict()
    text = report.text(found)
    if fix or dry_run:
        found, done = mending.mend(found, look, consent=_consent(yes=yes), dry_run=dry_run)
        value = {**found.to_dict(), "before": value["roots"], "fixes": [each.to_dict() for each in done]}
        text = f"{report.text(found)}\n\n{report.mended_text(done, asked=_terminal())}"
    if junit is not None:
        report.write_junit(found, junit)
    output.show(value, text, json=json)
    raise typer.Exit(found.exit_code(strict=strict))


@app.command()
def explain(
    words: Annotated[
        str, typer.Argument(metavar="ID|LINE", help="The id of a check or a known issue, or a line of a log in quotes.")
    ],
    json: begin.Json = False,
) -> None:
    """Say what a check, or a line of a log, means."""
    from harness import output
    from harness.doctor.explain import explain as find_out

    found = find_out(words)
    output.show(found.to_dict(), found.text(), json=json)


def _consent(*, yes: bool) -> Callable[[str, str], bool]:
    def asked(name: str, does: str) -> bool:
        if yes:
            return True
        return _terminal() and typer.confirm(f"{name}: {does}?", default=False, err=True)

    return asked


def _terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()

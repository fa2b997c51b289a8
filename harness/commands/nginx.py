"""`nginx status`, `switch`, `restore`: a site file of the system's nginx, changed as a transaction."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.commands import begin
from harness.errors import Exit

if TYPE_CHECKING:
    from harness.nginx.transaction import Done
    from harness.settings import Settings

app = typer.Typer()
nginx = typer.Typer(name="nginx", help="Lead the system's nginx to this stack, and back again.", no_args_is_help=True)
app.add_typer(nginx)

Site = Annotated[Path | None, typer.Option(help="The site's file; all that nginx reads when none is named.")]
Binary = Annotated[Path | None, typer.Option(help="The nginx to ask; the one in PATH when none is named.")]


@nginx.command()
def status(site: Site = None, binary: Binary = None, json: begin.Json = False) -> None:
    """Say where the site leads, and whether that is our doing."""
    from harness import output
    from harness.nginx import report

    settings, named = _settings(site, binary)
    found = report.status(settings.state_dir, named, settings.values.nginx.binary, report.local_ports(settings.values))
    output.show(found, report.status_text(found), json=json)


@nginx.command()
def switch(
    site: Site = None,
    to: Annotated[str | None, typer.Option(help="host:port to lead to; the copilot's when none is said.")] = None,
    from_: Annotated[
        str | None, typer.Option("--from", help="host:port to replace; minikube's or the local one when none is said.")
    ] = None,
    binary: Binary = None,
    json: begin.Json = False,
) -> None:
    """Lead the site to this stack; only the address's bytes change."""
    from harness.nginx import find, root, sites, transaction
    from harness.nginx.find import Address

    settings, named = _settings(site, binary)
    program, port = settings.values.nginx.binary, settings.values.copilot.port
    target = Address.parse(to or f"127.0.0.1:{port}")
    sources = (Address.parse(from_),) if from_ else find.sources_for(target, port)
    words = ["switch", "--to", str(target), *(["--from", from_] if from_ else [])]
    words += [*(["--site", str(named)] if named else []), *(["--binary", str(program)] if program else [])]

    def as_root(why: str) -> None:
        root.run_or_refuse(root.command(settings.state_dir, *words), why, ask=not json, exit_code=Exit.CONFLICT)

    _show(
        transaction.switch(settings.state_dir, lambda: sites.look(named, program), target, sources, as_root=as_root),
        json=json,
    )


@nginx.command()
def restore(
    forget: Annotated[
        bool, typer.Option("--forget", help="Put nothing back: leave the files as they are now, for good.")
    ] = False,
    json: begin.Json = False,
) -> None:
    """Put the site back, byte for byte as it was before `switch`."""
    from harness.nginx import root, transaction

    settings = begin.settings()

    def as_root(why: str) -> None:
        root.run_or_refuse(
            root.command(settings.state_dir, "restore"), why, ask=not json, exit_code=Exit.UNDO_INCOMPLETE
        )

    if forget:
        _show(transaction.forget(settings.state_dir), json=json)
    else:
        _show(transaction.restore(settings.state_dir, as_root=as_root), json=json)


def _settings(site: Path | None, binary: Path | None) -> "tuple[Settings, Path | None]":
    settings = begin.settings({"nginx.binary": binary})
    stack = begin.state(settings).read()
    settings = settings.relaunch(stack.launch) if stack is not None else settings
    # Not through the settings, which follow a link: a site is told by the name that nginx includes it by.
    return settings, site.absolute() if site else settings.values.nginx.site


def _show(done: "Done", *, json: bool) -> None:
    from harness import output
    from harness.nginx import report

    found: dict[str, Any] = report.done(done)
    output.show(found, report.done_text(found), json=json)

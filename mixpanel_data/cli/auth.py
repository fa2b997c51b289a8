"""`mp auth`: the accounts of the configuration file, and whether the credentials that apply work."""

from typing import Annotated, Any

import typer

from mixpanel_data.cli import terminal
from mixpanel_data.cli.command import command, new_app
from mixpanel_data.cli.options import Force
from mixpanel_data.cli.session import Session

app = new_app()

MASKED = "********"

Name = Annotated[str, typer.Argument(help="The account's name.")]
MaybeName = Annotated[str | None, typer.Argument(help="The account's name; else the one that applies.")]


@command(app, "list", jq=False)
def list_accounts(_session: Session) -> list[dict[str, Any]]:
    """List the accounts of the configuration file."""
    from mixpanel_data.auth import ConfigManager

    return [_shown(account) for account in ConfigManager().list_accounts()]


@command(app, "add", jq=False)
def add(
    _session: Session,
    *,
    name: Name,
    username: Annotated[str | None, typer.Option("--username", "-u", help="The service account's name.")] = None,
    project: Annotated[str | None, typer.Option("--project", "-p", help="The project's id, a number.")] = None,
    region: Annotated[str, typer.Option("--region", "-r", metavar="us|eu|in", help="Where the project is.")] = "us",
    default: Annotated[bool, typer.Option("--default", "-d", help="Make it the default account.")] = False,
    interactive: Annotated[bool, typer.Option("--interactive", "-i", help="Ask for everything.")] = False,
    secret_stdin: Annotated[bool, typer.Option("--secret-stdin", help="Read the secret from stdin.")] = False,
) -> dict[str, Any]:
    """Add an account. Its secret is never an option: it is asked for, piped in, or taken from MP_SECRET."""
    from mixpanel_data.auth import ConfigManager

    if interactive or username is None:
        username = terminal.ask("--username", "Service account", default=username)
    if interactive or project is None:
        project = terminal.ask("--project", "Project id", default=project)
    if interactive:
        region = terminal.ask("--region", "Region (us, eu, in)", default=region)
    manager = ConfigManager()
    manager.add_account(name, username, terminal.secret(from_stdin=secret_stdin), project, region)
    if default:
        manager.set_default(name)
    return {"added": name, "is_default": manager.get_account(name).is_default}


@command(app, "remove", jq=False)
def remove(_session: Session, *, name: Name, force: Force = False) -> dict[str, str]:
    """Remove an account."""
    from mixpanel_data.auth import ConfigManager

    manager = ConfigManager()
    manager.get_account(name)
    if not force:
        terminal.confirm(f"Account {name!r} and its secret will be gone.", force=f"mp auth remove {name} --force")
    manager.remove_account(name)
    return {"removed": name}


@command(app, "switch", jq=False)
def switch(_session: Session, *, name: Name) -> dict[str, str]:
    """Make an account the default one."""
    from mixpanel_data.auth import ConfigManager

    ConfigManager().set_default(name)
    return {"default": name}


@command(app, "show", jq=False)
def show(session: Session, *, name: MaybeName = None) -> dict[str, Any]:
    """Show an account, its secret masked.

    Without a name it is the one that applies; one that is made of the four MP_* variables has none.
    """
    from mixpanel_data.auth import ConfigManager

    manager = ConfigManager()
    wanted = name or session.options.account
    if wanted is None:
        applies = manager.resolve_credentials()
        wanted = applies.account
        if wanted is None:
            given = {"username": applies.username, "project_id": applies.project_id, "region": applies.region}
            return {"name": None, **given, "is_default": False, "secret": MASKED}
    return {**_shown(manager.get_account(wanted)), "secret": MASKED}


@command(app, "test", jq=False)
def check(session: Session, *, name: MaybeName = None) -> dict[str, Any]:
    """Ask Mixpanel one cheap question with the credentials that apply."""
    from mixpanel_data.workspace import Workspace

    return Workspace.test_credentials(name or session.options.account)


def _shown(account: Any) -> dict[str, Any]:
    return {key: getattr(account, key) for key in ("name", "username", "project_id", "region", "is_default")}

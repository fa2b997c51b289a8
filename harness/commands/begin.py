"""What every command begins with: its settings, its state directory, the catalogue of services, and `--json`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from harness.settings import Settings
    from harness.stack.services import Service
    from harness.stack.state import StateDirectory

Json = Annotated[bool, typer.Option("--json", help="One JSON value for a program, errors too.")]


def settings(options: dict[str, Any] | None = None) -> "Settings":
    """All settings, with what the command line said on top."""
    from harness.settings import load

    return load(options)


def state(of: "Settings") -> "StateDirectory":
    """Where the stack of these settings keeps its state."""
    from harness.stack.state import StateDirectory

    return StateDirectory(of.state_dir)


def services() -> "tuple[Service, ...]":
    """SERVICES."""
    from harness.stack import services as catalogue

    return catalogue.SERVICES

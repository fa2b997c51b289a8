"""What every command begins with: its settings, its state directory, the catalogue of services, `--json`, `--stack`."""

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from harness.settings import Settings
    from harness.stack.services import Service
    from harness.stack.state import StateDirectory

Json = Annotated[bool, typer.Option("--json", help="One JSON value for a program, errors too.")]
StackName = Annotated[
    str | None, typer.Option("--stack", metavar="NAME", help="Which of several stacks beside each other.")
]

_said: dict[str, Any] = {}


def take_stack(app: typer.Typer) -> None:
    """Give every command of a family the option `--stack`, without its having to know of it."""
    for command in app.registered_commands:
        if command.callback is not None:
            command.callback = _taking_stack(command.callback)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            take_stack(group.typer_instance)


def anew() -> None:
    """Forget what an earlier command line of this process said."""
    _said.clear()


def choose_stack(name: str | None) -> None:
    """Take `--stack` for the settings to come; a group's choice holds for its command that makes none."""
    if name is not None:
        _said["stack.name"] = name


def _taking_stack(command: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(command)
    if "stack" in signature.parameters:
        return command

    @functools.wraps(command)
    def chosen(*arguments: Any, stack: str | None = None, **named: Any) -> Any:
        choose_stack(stack)
        return command(*arguments, **named)

    option = inspect.Parameter("stack", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=StackName)
    # typer reads the signature for the order of parameters and the annotations for what they are.
    vars(chosen)["__signature__"] = signature.replace(parameters=[*signature.parameters.values(), option])
    chosen.__annotations__ = {**command.__annotations__, "stack": StackName}
    return chosen


def names_beginning(incomplete: str) -> list[str]:
    """The services whose names begin so, for a shell that completes them."""
    return [service.name for service in services() if service.name.startswith(incomplete)]


def settings(options: dict[str, Any] | None = None) -> "Settings":
    """All settings, with what the command line said on top."""
    from harness.settings import load

    return load({**(options or {}), **_said})


def running_settings() -> "Settings":
    """The same, and what nobody set as the running stack has it, its chosen ports among it."""
    own = settings()
    stack = state(own).read()
    return own.relaunch(stack.launch) if stack is not None else own


def state(of: "Settings") -> "StateDirectory":
    """Where the stack of these settings keeps its state."""
    from harness.stack.state import StateDirectory

    return StateDirectory(of.state_dir)


def services() -> "tuple[Service, ...]":
    """SERVICES."""
    from harness.stack import services as catalogue

    return catalogue.SERVICES

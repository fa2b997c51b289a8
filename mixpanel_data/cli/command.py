"""How a plain function becomes a command, and a module a group that is imported when it is asked for."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from contextlib import closing
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from mixpanel_data.cli import terminal
from mixpanel_data.cli.output import Format, Output, ReaderGoneError
from mixpanel_data.cli.session import Globals, Session

Run = Callable[..., Any]

_BOLD, _CYAN, _OFF = "\x1b[1m", "\x1b[36m", "\x1b[0m"
_HEADING = re.compile(r"(Usage|Arguments|Options|Commands):")
_ENTRY = re.compile(r"  (-[^\s<\[]*(?:, --?[\w-]+)*|[\w-]+)(?=\s|$)")

Form = Annotated[Format, typer.Option("--format", "-f", help="How to show the result.")]
JqFilter = Annotated[
    str | None, typer.Option("--jq", metavar="FILTER", help="Show only what this jq filter gives (json, jsonl).")
]


class _Painted:
    """Help pages with colours on a terminal. (typer's own rich pages take half a second to import.)"""

    def get_help(self, ctx: Any) -> str:
        page: str = super().get_help(ctx)  # type: ignore[misc]  # mixed into typer's classes
        return page if terminal.is_plain() else painted(page)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            rest: list[str] = super().parse_args(ctx, args)  # type: ignore[misc]  # the same
        except BrokenPipeError as error:
            # Of a help page; a command itself says ReaderGoneError.
            raise ReaderGoneError from error
        return rest


class Command(_Painted, TyperCommand):
    """A command."""


class Group(_Painted, TyperGroup):
    """A group whose commands stand in modules that are imported when one of them is asked for.

    modules: each has an `app`, a typer.Typer with commands
    """

    modules: tuple[str, ...] = ()

    @classmethod
    def lazy(cls, name: str, summary: str, modules: tuple[str, ...]) -> Group:
        """The group of that name, of which nothing is imported yet."""
        group = cls(name=name, help=summary, no_args_is_help=True, rich_markup_mode=None)
        group.modules = modules
        return group

    def list_commands(self, ctx: Any) -> list[str]:
        self._load()
        return super().list_commands(ctx)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        self._load()
        return super().get_command(ctx, cmd_name)

    def _load(self) -> None:
        for module in self.modules:
            group = typer.main.get_group(importlib.import_module(module).app)
            self.commands.update(group.commands)
        self.modules = ()


def new_app() -> typer.Typer:
    """An app that takes the commands of a module."""
    return typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


def command(app: typer.Typer, name: str, *, jq: bool = True) -> Callable[[Run], Run]:
    """Make a function a command: it is given a Session first, and what it returns is shown; None shows nothing.

    The function itself stays as it is. Its other parameters are the command's; `--format` and `--jq` are added.

    Args:
        jq: whether the command takes `--jq`
    """

    def register(run: Run) -> Run:
        def invoke(ctx: typer.Context, form: Format, jq_filter: str | None = None, **given: Any) -> None:
            from mixpanel_data.cli import notices

            options = ctx.ensure_object(Globals)
            with notices.shown(options), closing(Session(options, Output.of(form, jq_filter))) as session:
                value = run(session, **given)
                if value is not None:
                    session.output.show(value)
            raise typer.Exit(session.exit_code)

        own = list(inspect.signature(run).parameters.values())[1:]
        keyword = inspect.Parameter.KEYWORD_ONLY
        added = [inspect.Parameter("form", keyword, default=Format.JSON, annotation=Form)]
        if jq:
            added.append(inspect.Parameter("jq_filter", keyword, default=None, annotation=JqFilter))
        context = inspect.Parameter("ctx", keyword, annotation=typer.Context)
        parameters = [context, *(each.replace(kind=keyword) for each in own), *added]
        invoke.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by inspect
        invoke.__annotations__ = {each.name: each.annotation for each in parameters}
        invoke.__doc__ = run.__doc__
        app.command(name, cls=Command)(invoke)
        return run

    return register


def painted(page: str) -> str:
    """A help page with its headings and the names in its lists in colours."""
    lines, inside = [], False
    for line in page.splitlines():
        heading = _HEADING.match(line)
        if heading:
            inside = heading[1] != "Usage"
            lines.append(f"{_BOLD}{heading[0]}{_OFF}{line[heading.end() :]}")
        elif inside and (entry := _ENTRY.match(line)):
            lines.append(f"  {_CYAN}{entry[1]}{_OFF}{line[entry.end() :]}")
        else:
            lines.append(line)
    return "\n".join(lines)

"""Tables of README files, generated from the catalogues: block name → function."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import settings
from harness.errors import MEANINGS, Exit, HarnessError, nearest
from harness.stack.services import SERVICES

FILES = ("README.md", "CONTRIBUTING.md")
# Options of nearly every command, told once beside its table: of `mp`, and of `harness`.
EVERYWHERE = ("--format", "--jq", "--stack")
SKIPPED = ("node_modules", "__pycache__", "dist", "build", "artefacts")


@dataclass(frozen=True, slots=True)
class Tables:
    """What was found: files with blocks, and the stale ones as `file: block`."""

    files: tuple[str, ...]
    stale: tuple[str, ...]

    def text(self, *, check: bool) -> str:
        """One line a stale block."""
        if not self.stale:
            return f"all generated blocks are current in {len(self.files)} file(s)"
        head = "stale, mend with: harness docs" if check else "written anew"
        return "\n".join([head, *(f"  {each}" for each in self.stale)])


def tool_table() -> str:
    """Every tool: name, category, what it is for, whether it writes."""
    from mp_mcp_server.catalogue import TOOLS

    rows = ((f"`{t.name}`", t.category, t.purpose, "reads" if t.read_only else "writes") for t in TOOLS)
    return _table(("tool", "category", "what it is for", "reads or writes"), rows)


def service_table() -> str:
    """Every service: name, what it is, what it needs, in which targets it runs."""
    rows = (
        (
            f"`{s.name}`",
            s.purpose,
            ", ".join(f"`{need}`" for need in s.needs) or "nothing",
            ", ".join(sorted(s.targets)),
        )
        for s in SERVICES
    )
    return _table(("service", "what it is", "needs", "targets"), rows)


def port_table() -> str:
    """Every port with the setting and the variable that move it."""
    values = settings.Settings(settings.Values(), {}, Path(), None, environment={})
    rows = (
        (str(s.port(values)), f"`{s.name}`", f"`{s.port_setting}`", f"`{settings.variable(s.port_setting)}`")
        for s in sorted(SERVICES, key=lambda s: s.port(values))
    )
    return _table(("port", "service", "harness.toml", "environment"), rows)


def environment_table() -> str:
    """Every environment variable that `harness` reads."""
    own = ((f"`{settings.variable(name)}`", meaning) for name, meaning in settings.keys().items())
    others = ((", ".join(f"`{name}`" for name in names.split(", ")), meaning) for names, meaning in settings.VARIABLES)
    return _table(("variable", "meaning"), [*others, *own])


def command_table() -> str:
    """Every command with its options, as `--help` has them."""
    from typer.main import get_command

    from harness.cli import app

    # typer's own types do not name these attributes.
    root: Any = get_command(app)
    rows = (
        (f"`harness {name}`", _words(command, optional_arguments=True), str(command.help).partition("\n")[0])
        for name, command in _leaves(root)
    )
    return _table(("command", "takes", "what it does"), rows)


def _leaves(group: Any) -> Iterator[tuple[str, Any]]:
    """Every command by its words, also those of groups within, and a group that does something by itself."""
    for name, command in group.commands.items():
        inner = getattr(command, "commands", None)
        if inner is None or command.invoke_without_command:
            yield name, command
        if inner is not None:
            yield from ((f"{name} {word}", leaf) for word, leaf in _leaves(command))


def mp_table() -> str:
    """Every command of `mp` with its own options, as `--help` has them; those that all have are left out."""
    from typer.main import get_command

    from mixpanel_data.cli.app import app

    root: Any = get_command(app)
    groups = [(name, root.get_command(None, name)) for name in root.list_commands(None)]
    rows = (
        (f"`mp {group_name} {name}`", _words(command), str(command.help).partition("\n")[0])
        for group_name, group in groups
        for name, command in ((name, group.get_command(None, name)) for name in group.list_commands(None))
    )
    return _table(("command", "takes", "what it does"), rows)


def _words(command: Any, *, optional_arguments: bool = False) -> str:
    words = []
    for parameter in command.params:
        if parameter.param_type_name == "option":
            word = max(parameter.opts, key=len)
            words += [] if word in EVERYWHERE else [word]
        elif optional_arguments or not parameter.required:
            words.append(f"[{parameter.name.upper()}]")
        else:
            words.append(parameter.name.upper())
    return " ".join(f"`{word}`" for word in words) or "nothing"


def check_table() -> str:
    """Every check of the doctor: id, what it proves, how bad it is, what it needs."""
    from harness.doctor.catalogue import rows

    return _table(
        ("check", "what it proves", "if not", "needs"),
        (
            (f"`{name}`", proves, severity, ", ".join(f"`{need}`" for need in needs.split(", ") if need) or "nothing")
            for name, proves, severity, needs in rows()
        ),
    )


def exit_code_table() -> str:
    """Every exit code and its meaning."""
    return _table(("code", "meaning"), ((str(int(code)), MEANINGS[code]) for code in Exit))


BLOCKS: dict[str, Callable[[], str]] = {
    "tools": tool_table,
    "services": service_table,
    "ports": port_table,
    "environment": environment_table,
    "commands": command_table,
    "mp": mp_table,
    "checks": check_table,
    "exit-codes": exit_code_table,
}


def write(root: Path | None, *, check: bool) -> Tables:
    """Bring every generated block of a checkout up to date, or with `check` only say which are not.

    Raises:
        HarnessError: NO_CHECKOUT, UNKNOWN_BLOCK, OPEN_BLOCK (exit 2)
    """
    if root is None:
        raise HarnessError(
            "NO_CHECKOUT", "this is no checkout", fix="run it inside the repository", exit_code=Exit.USAGE
        )
    files, stale = [], []
    for path in _files(root):
        name = path.relative_to(root).as_posix()
        old = path.read_text(encoding="utf-8")
        new, blocks = renew(old, name)
        if "<!-- begin " in old:
            files.append(name)
        stale += [f"{name}: {block}" for block in blocks]
        if blocks and not check:
            path.write_text(new, encoding="utf-8")
    return Tables(tuple(files), tuple(stale))


def renew(text: str, name: str) -> tuple[str, list[str]]:
    """A file's text with every block made anew, and the names of those that were stale."""
    head, *parts = text.split("<!-- begin ")
    stale = []
    for part in parts:
        block, _, rest = part.partition(" -->")
        old, end, tail = rest.partition(f"<!-- end {block} -->")
        if block not in BLOCKS:
            raise HarnessError(
                "UNKNOWN_BLOCK",
                f"{name}: there is no block {block!r}",
                fix=nearest(block, list(BLOCKS)),
                exit_code=Exit.USAGE,
            )
        if not end:
            raise HarnessError(
                "OPEN_BLOCK",
                f"{name}: block {block} does not end",
                fix=f"add a line <!-- end {block} -->",
                exit_code=Exit.USAGE,
            )
        new = f"\n{BLOCKS[block]()}\n"
        stale += [block] if old != new else []
        head += f"<!-- begin {block} -->{new}{end}{tail}"
    return head, stale


def _files(root: Path) -> list[Path]:
    found = []
    for directory, below, names in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith(".") and name not in SKIPPED)
        found += [Path(directory) / name for name in FILES if name in names]
    return found


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines
    )

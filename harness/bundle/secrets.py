"""Everything secret that this machine may have told a service, gathered so that a bundle can be searched for it."""

import re
import shlex
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.creds.shell_files import FILES as START_FILES
from harness.redact import Redactor, names_a_secret, secrets_of
from harness.settings import FILE, Settings
from harness.stack import identity
from harness.stack.processes import Owner
from harness.stack.state import Stack

LONGEST_BYTES = 1 << 20
COPILOT_FILES = (".env", ".env.local", ".env.development", ".env.development.local")
LONG_WORD = 8
INTERPRETERS = re.compile(r"(?:python|node|ruby|perl|java|php|bash|sh|zsh|uv|npm|npx)[\d.]*")


def redactor(settings: Settings, stack: Stack | None, strangers: Iterable[Owner]) -> Redactor:
    """Knows what is secret here.

    It is taken from the environment of this command and of the services, from harness.toml, the library's
    configuration file, the shell's start files and the copilot's; nothing of these is executed or kept.
    """
    known = Redactor(secrets_of(settings.environment))
    members = stack.members.values() if stack else ()
    for who in (who for member in members for who in (member.process, member.keeper) if who.is_alive()):
        known.add(secrets_of(identity.read_environment(who.pid)))
    for path in _files(settings):
        text = _text(path)
        if path.suffix == ".toml":
            known.add(_of_toml(text))
        known.learn(text)
    for owner in strangers:
        # The doctor tells what it found on one line.
        for text, instead in ((str(owner), told(owner)), (owner.command, _command(owner))):
            known.put(instead, text)
            known.put(instead, " ".join(text.split()))
        known.add(word for word in _words(owner)[1:] if len(word) >= LONG_WORD and not word.isalpha())
    return known


def told(owner: Owner) -> str:
    """Who holds a port, without the words of the command line, any of which may be a secret."""
    if owner.pid is None:
        return str(owner)
    since = f"{owner.since:%Y-%m-%d %H:%M:%S} UTC" if owner.since else "unknown"
    return f"pid {owner.pid} ({_command(owner)}) of {owner.user}, since {since}"


def _command(owner: Owner) -> str:
    words = _words(owner)
    shown = [Path(words[0]).name] if words else []
    rest = words[1:]
    if shown and INTERPRETERS.fullmatch(shown[0]) and len(rest) > 1 and rest[0] == "-m":
        shown, rest = [*shown, "-m", rest[1]], rest[2:]
    return " ".join(shown) + (f" and {len(rest)} more words" if rest else "")


def _words(owner: Owner) -> list[str]:
    try:
        return shlex.split(owner.command)
    except ValueError:
        return owner.command.split()


def _files(settings: Settings) -> Iterator[Path]:
    home = Path(settings.environment.get("HOME") or "~").expanduser()
    if settings.root is not None:
        yield settings.root / FILE
    yield Path(settings.environment.get("MP_CONFIG_PATH") or home / ".mp" / "config.toml").expanduser()
    yield from (home / name for name in START_FILES)
    if settings.values.copilot.dir is not None:
        yield from (settings.values.copilot.dir / name for name in COPILOT_FILES)


def _text(path: Path) -> str:
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            return file.read(LONGEST_BYTES).decode(errors="replace")
    except OSError:
        # What cannot be read has told nobody anything.
        return ""


def _of_toml(text: str) -> set[str]:
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError):
        return set()
    return secrets_of(dict(_leaves(content)))


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text with its key; where the key says little, with the table's that says more."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _leaves(each, name if names_a_secret(name) and not names_a_secret(key) else str(key))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from ((f"{key}_{number}", text) for key, text in _leaves(each, name))
    elif isinstance(value, str):
        yield name, value

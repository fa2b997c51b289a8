"""A configuration as nginx reads it: the main file and all that it includes, in place."""

import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import Exit, HarnessError
from harness.nginx.lex import SiteSyntaxError, Statement, Word, read


@dataclass(frozen=True, slots=True)
class Placed:
    """A statement where nginx meets it.

    file: the real file, no symbolic link in its path
    around: the statements around it, the outermost first, those of including files too
    again: whether its file was met before, as a snippet that several servers include
    """

    statement: Statement
    file: Path
    around: tuple[Statement, ...]
    again: bool = False

    def inside(self, name: str) -> Statement | None:
        """The nearest block of this name around it."""
        return next((each for each in reversed(self.around) if each.name == name), None)


@dataclass(slots=True)
class Tree:
    """What was read.

    sources: real file → its bytes, in the order in which nginx comes to them
    names: real file → the name by which it was included or asked for
    included_by: real file → the one that includes it; the root stands in nobody's
    notes: what could not be read, one sentence each
    """

    prefix: Path
    placed: list[Placed] = field(default_factory=list)
    sources: dict[Path, bytes] = field(default_factory=dict)
    names: dict[Path, Path] = field(default_factory=dict)
    included_by: dict[Path, Path] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def below(self, file: Path) -> set[Path]:
        """A real file that was read, and all that it includes."""
        found = {file}
        for included, by in self.included_by.items():
            # A file stands behind the one that includes it.
            if by in found:
                found.add(included)
        return found

    def of(self, name: str) -> Iterator[Placed]:
        """Every statement of this name, in order."""
        return (each for each in self.placed if each.statement.name == name)


def read_tree(root: Path, prefix: Path | None = None) -> Tree:
    """Read a configuration file with all that it includes.

    Args:
        prefix: what relative includes are relative to, nginx's own configuration directory; the root's when None

    Raises:
        HarnessError: SITE_MISSING, SITE_SYNTAX (exit 2), SITE_UNREADABLE (5)
    """
    tree = Tree(prefix or root.parent)
    try:
        _take(tree, root, ())
    except FileNotFoundError:
        raise HarnessError(
            "SITE_MISSING", f"there is no {root}", fix="name the file: --site PATH", exit_code=Exit.USAGE
        ) from None
    except OSError as error:
        raise HarnessError(
            "SITE_UNREADABLE",
            f"{root} cannot be read: {error.strerror}",
            fix="name a file that you can read with --site, or run it as root",
            exit_code=Exit.CONFLICT,
        ) from None
    return tree


def _take(tree: Tree, named: Path, around: tuple[Statement, ...], through: tuple[Path, ...] = ()) -> None:
    """Read a file in its place; `through` are the files that include it, the root first."""
    file = named.resolve(strict=True)
    if file in through:
        # nginx would go round in circles until it may open no more files.
        tree.notes.append(f"{named} includes itself")
        return
    again = file in tree.sources
    source = tree.sources[file] if again else file.read_bytes()
    if not again:
        tree.sources[file], tree.names[file] = source, named
        if through:
            tree.included_by[file] = through[-1]
    try:
        statements = read(source)
    except SiteSyntaxError as error:
        raise HarnessError(
            "SITE_SYNTAX",
            f"{named}, line {error.line}: {error.what}",
            fix="mend the file until `nginx -t` takes it",
            exit_code=Exit.USAGE,
        ) from None
    _Placing(tree, file, (*through, file), again).place(statements, around)


@dataclass(frozen=True, slots=True)
class _Placing:
    """One file in one place."""

    tree: Tree
    file: Path
    through: tuple[Path, ...]
    again: bool

    def place(self, statements: tuple[Statement, ...], around: tuple[Statement, ...]) -> None:
        for statement in statements:
            self.tree.placed.append(Placed(statement, self.file, around, self.again))
            if statement.name == "include" and statement.arguments and statement.block is None:
                self._include(statement.arguments[0], around)
            elif statement.block:
                self.place(statement.block, (*around, statement))

    def _include(self, word: Word, around: tuple[Statement, ...]) -> None:
        for included in _included(self.tree, word):
            try:
                _take(self.tree, included, around, self.through)
            except OSError as error:
                self.tree.notes.append(f"{included}, which is included, cannot be read: {error.strerror}")


def _included(tree: Tree, word: Word) -> list[Path]:
    pattern = os.path.join(tree.prefix, word.text)  # noqa: PTH118  # a pattern, and not yet a path
    if glob.has_magic(pattern):
        return [Path(found) for found in sorted(glob.glob(pattern))]  # noqa: PTH207  # absolute patterns
    return [Path(pattern)]

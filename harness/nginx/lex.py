"""Bytes of an nginx file → its statements, each word with the place where its bytes stand.

The rules are nginx's own (`ngx_conf_read_token`): only blank, tab, CR and LF part words; a comment begins where a word
could; quotes count only at a word's beginning; `${` does not open a block. Nothing is decoded, so a word's place is
exact whatever the encoding.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

BLANKS = re.compile(rb"(?:[ \t\r\n]+|#[^\n]*)+")
PLAIN = re.compile(rb"(?:\\.|\$\{|[^ \t\r\n;{\\])+", re.DOTALL)
QUOTED = re.compile(rb"\"((?:\\.|[^\"\\])*)\"|'((?:\\.|[^'\\])*)'", re.DOTALL)
AFTER_QUOTE = re.compile(rb"[ \t\r\n;{)]|\Z")
LUA_PART = re.compile(
    rb"--\[(=*)\[.*?\]\1\]|--[^\n]*|\[(=*)\[.*?\]\2\]|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|[{}]", re.DOTALL
)
ESCAPED = re.compile(rb"\\([\"'\\])")


class SiteSyntaxError(Exception):
    """A file that nginx would not read either: what is wrong, and in which line."""

    def __init__(self, what: str, line: int) -> None:
        super().__init__(f"line {line}: {what}")
        self.what, self.line = what, line


@dataclass(frozen=True, slots=True)
class Word:
    """One word: its bytes without quotes, and the offset of the first of them."""

    raw: bytes
    start: int

    @property
    def text(self) -> str:
        """The word as nginx takes it, for reading; bytes that are no UTF-8 are replaced."""
        return ESCAPED.sub(rb"\1", self.raw).decode(errors="replace")


@dataclass(frozen=True, slots=True)
class Statement:
    """One directive with its arguments.

    line: where its name stands, from 1
    block: the statements between its braces; None where it ends in a semicolon
    """

    name: str
    arguments: tuple[Word, ...]
    line: int
    block: tuple["Statement", ...] | None


@dataclass(slots=True)
class _Open:
    """A block whose end has not come yet."""

    words: list[Word]
    line: int
    block: list[Statement] = field(default_factory=list)


def read(source: bytes) -> tuple[Statement, ...]:
    """Take a file apart.

    Raises:
        SiteSyntaxError: braces or semicolons missing, quotes left open
    """
    return _Reader(source).statements()


class _Reader:
    def __init__(self, source: bytes) -> None:
        self.source = source
        self.at = 0
        self._line, self._counted = 1, 0

    def statements(self) -> tuple[Statement, ...]:
        open_blocks = [_Open([], 1)]
        words: list[Word] = []
        line = 1
        for sign in self._signs():
            if isinstance(sign, Word):
                line = line if words else self._line_of(sign.start)
                words.append(sign)
            elif sign == b"}":
                if words or len(open_blocks) == 1:
                    raise SiteSyntaxError('unexpected "}"', self._line_of(self.at))
                done = open_blocks.pop()
                open_blocks[-1].block.append(_statement(done.words, done.line, tuple(done.block)))
            elif not words:
                raise SiteSyntaxError(f'unexpected "{sign.decode()}"', self._line_of(self.at))
            elif sign == b";":
                open_blocks[-1].block.append(_statement(words, line, None))
                words = []
            elif words[0].raw.endswith(b"_by_lua_block"):
                self._skip_lua()
                open_blocks[-1].block.append(_statement(words, line, ()))
                words = []
            else:
                open_blocks.append(_Open(words, line))
                words = []
        if words or len(open_blocks) > 1:
            what = '";" or "}"' if words else '"}"'
            raise SiteSyntaxError(f"the file ends where {what} should come", self._line_of(len(self.source)))
        return tuple(open_blocks[0].block)

    def _signs(self) -> Iterator[Word | bytes]:
        """Words, and the three signs that end a statement or a block."""
        source = self.source
        while True:
            blanks = BLANKS.match(source, self.at)
            self.at = blanks.end() if blanks else self.at
            first = source[self.at : self.at + 1]
            if not first:
                return
            if first in b";{}":
                self.at += 1
                yield first
            elif first in b"\"'":
                yield self._quoted()
            else:
                plain = PLAIN.match(source, self.at)
                if plain is None:
                    raise SiteSyntaxError("the file ends in a backslash", self._line_of(self.at))
                self.at = plain.end()
                yield Word(plain.group(), plain.start())

    def _quoted(self) -> Word:
        found = QUOTED.match(self.source, self.at)
        if found is None:
            raise SiteSyntaxError("a quote is left open", self._line_of(self.at))
        self.at = found.end()
        if AFTER_QUOTE.match(self.source, self.at) is None:
            raise SiteSyntaxError("a quoted word goes on behind its quote", self._line_of(self.at))
        group = 1 if found.group(1) is not None else 2
        return Word(found.group(group), found.start(group))

    def _skip_lua(self) -> None:
        depth = 1
        for part in LUA_PART.finditer(self.source, self.at):
            depth += {b"{": 1, b"}": -1}.get(part.group(), 0)
            if depth == 0:
                self.at = part.end()
                return
        raise SiteSyntaxError("a Lua block is left open", self._line_of(self.at))

    def _line_of(self, offset: int) -> int:
        # Asked in rising order, so that a huge file is counted once.
        if offset < self._counted:
            return self.source.count(b"\n", 0, offset) + 1
        self._line += self.source.count(b"\n", self._counted, offset)
        self._counted = offset
        return self._line


def _statement(words: list[Word], line: int, block: tuple[Statement, ...] | None) -> Statement:
    return Statement(words[0].text, tuple(words[1:]), line, block)

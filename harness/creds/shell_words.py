"""A shell script's commands as words, read and never run: as much of the shell's grammar as assignments need.

Linear in the text. Words keep their quotes, so that a plain value can be told from one that the shell would compute.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

_OPENING = frozenset({"if", "for", "while", "until", "case", "select", "{"})
_CLOSING = frozenset({"fi", "done", "esac", "}"})
_BEFORE_A_COMMAND = frozenset({"then", "else", "elif", "do", "!", "time", "builtin", "command", *_OPENING})


@dataclass(frozen=True, slots=True)
class Command:
    """One simple command.

    line: of its first word, counted from 1
    always: whether the shell comes by it whatever happens: not in a condition, a loop, a function or a subshell
    """

    words: tuple[str, ...]
    line: int
    always: bool


def commands(text: str) -> Iterator[Command]:
    """Every simple command of a script, in its order."""
    return _Reader(text).commands()


@dataclass(slots=True)
class _Reader:
    text: str
    at: int = 0
    line: int = 1
    blocks: int = 0
    brackets: int = 0
    conditional: bool = False
    words: list[str] = field(default_factory=list)
    first: int = 0
    documents: list[str] = field(default_factory=list)

    def commands(self) -> Iterator[Command]:
        while self.at < len(self.text):
            character = self.text[self.at]
            if character in " \t\r":
                self.at += 1
            elif character == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif self.text.startswith("\\\n", self.at):
                self._pass(2)
            elif self.text.startswith("<<", self.at) and not self.text.startswith("<<<", self.at):
                self._here_document()
            elif character in "\n;&|()":
                yield from self._ended()
                self._separator(character)
            else:
                self.first = self.line if not self.words else self.first
                self.words.append(self._word())
        yield from self._ended()

    def _ended(self) -> Iterator[Command]:
        words, self.words = self.words, []
        begins = 0
        while begins < len(words) and (words[begins] in _BEFORE_A_COMMAND or words[begins] in _CLOSING):
            self.blocks += words[begins] in _OPENING
            self.blocks -= words[begins] in _CLOSING and self.blocks > 0
            begins += 1
        if words[begins:]:
            yield Command(tuple(words[begins:]), self.first, not (self.blocks or self.brackets or self.conditional))

    def _separator(self, character: str) -> None:
        self.conditional = self.text[self.at : self.at + 2] in {"&&", "||"}
        if character == "(":
            self.brackets += 1
        elif character == ")":
            # A pattern of `case` closes what was never opened.
            self.brackets = max(0, self.brackets - 1)
        self._pass(2 if self.conditional else 1)
        if character == "\n":
            for end in self.documents:
                self._skip_document(end)
            self.documents.clear()

    def _here_document(self) -> None:
        self._pass(2)
        if self.text.startswith("-", self.at):
            self._pass(1)
        while self.text[self.at : self.at + 1] in {" ", "\t"}:
            self._pass(1)
        self.documents.append(self._word().strip("'\"\\"))

    def _skip_document(self, end: str) -> None:
        while self.at < len(self.text):
            stop = self.text.find("\n", self.at)
            stop = len(self.text) if stop < 0 else stop
            found = self.text[self.at : stop].strip() == end
            self._pass(stop + 1 - self.at)
            if found:
                return

    def _word(self) -> str:
        start = self.at
        while self.at < len(self.text) and self.text[self.at] not in " \t\r\n;&|()":
            self._piece()
        if self.at == start:
            self._pass(1)
        return self.text[start : self.at].replace("\\\n", "")

    def _piece(self) -> None:
        character = self.text[self.at]
        if character == "\\":
            self._pass(2)
        elif character == "'":
            self._until("'")
        elif character == "`":
            self._until("`")
        elif character == '"' or self.text.startswith("$(", self.at):
            self._nested('"' if character == '"' else "$(")
        else:
            self._pass(1)

    def _nested(self, opening: str) -> None:
        """Pass a quotation or a substitution and all that stands within it."""
        open_ = [opening]
        self._pass(len(opening))
        while open_ and self.at < len(self.text):
            character = self.text[self.at]
            quoted = open_[-1] == '"'
            if character == ('"' if quoted else ")"):
                open_.pop()
            elif character == "'" and not quoted:
                self._until("'")
                continue
            elif self.text.startswith("$(", self.at) or (not quoted and character in '("'):
                open_.append('"' if character == '"' else "$(")
                self._pass(2 if character == "$" else 1)
                continue
            self._pass(2 if character == "\\" else 1)

    def _until(self, quote: str) -> None:
        end = self.text.find(quote, self.at + 1)
        self._pass((len(self.text) if end < 0 else end + 1) - self.at)

    def _pass(self, characters: int) -> None:
        self.line += self.text.count("\n", self.at, self.at + characters)
        self.at = min(len(self.text), self.at + characters)

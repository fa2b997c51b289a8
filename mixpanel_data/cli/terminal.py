"""The terminal and the environment of `mp`: whether a person looks on, what may be drawn, and how a person is asked."""

from __future__ import annotations

import os
import re
import sys
import unicodedata

from mixpanel_data.errors import InvalidArgumentError, MixpanelDataError

# The two joiners that emoji and several scripts need; every other format character can deceive the eye.
_JOINERS = "\u200c\u200d"
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_MAYBE_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f]|[^\x00-\xff]|\xad")


class NotConfirmedError(MixpanelDataError):
    """What would be lost was not let go of by the person who was asked."""

    default_code = "NOT_CONFIRMED"


def is_plain() -> bool:
    """Whether text is shown without colours: MP_PLAIN or NO_COLOR is set, or nobody looks on."""
    unwanted = os.environ.get("MP_PLAIN", "").strip() not in {"", "0"} or os.environ.get("NO_COLOR", "")
    return bool(unwanted) or os.environ.get("TERM") == "dumb" or not is_terminal()


def is_terminal() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def visible(text: str, *, keep: str = "") -> str:
    """The text with every control, format and unpaired surrogate character written out, so that it only shows.

    Names and values come from whoever may send events; an escape sequence in one must not reach a terminal.
    """

    def written_out(match: re.Match[str]) -> str:
        character = match[0]
        if character in keep or character in _JOINERS or unicodedata.category(character) not in _UNSEEN:
            return character
        return character.encode("unicode_escape").decode("ascii")

    return _MAYBE_UNSEEN.sub(written_out, text)


def confirm(question: str, *, force: str) -> None:
    """Ask a yes-or-no question; return only after a yes.

    Args:
        question: what will be gone
        force: the command line that does it without asking

    Raises:
        NotConfirmedError: the answer is anything else, or there is nobody to ask.
    """
    if not _is_asked():
        raise NotConfirmedError(f"{question} Nobody is there to say yes", fix=f"say it in the command: {force}")
    if _answer(f"{question} [y/N] ").strip().lower() not in {"y", "yes"}:
        raise NotConfirmedError("nothing was changed", fix="answer y, or say it in the command: " + force)


def ask(argument: str, label: str, *, default: str | None = None) -> str:
    """Ask for a value that was not given.

    Raises:
        InvalidArgumentError: there is nobody to ask, or the answer is empty.
    """
    if not _is_asked():
        raise InvalidArgumentError(argument, "is missing", fix=f"give {argument}")
    shown = f" [{default}]" if default else ""
    answer = _answer(f"{label}{shown}: ").strip() or default
    if not answer:
        raise InvalidArgumentError(argument, "is empty", fix=f"give {argument}")
    return answer


def secret(*, from_stdin: bool) -> str:
    """A service account's secret: from stdin where that is said, else MP_SECRET, else asked for without an echo.

    Raises:
        InvalidArgumentError: it is empty, or there is nobody to ask.
    """
    if from_stdin:
        found = sys.stdin.readline().strip()
    elif found := os.environ.get("MP_SECRET", "").strip():
        pass
    elif _is_asked():
        import getpass

        found = getpass.getpass("Secret: ", stream=sys.stderr).strip()
    if not found:
        raise InvalidArgumentError(
            "secret", "is missing", fix="pipe it in with --secret-stdin, set MP_SECRET, or run this in a terminal"
        )
    return found


def _is_asked() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _answer(prompt: str) -> str:
    # Not input(): that writes its prompt to stdout, where only data belongs.
    sys.stderr.write(prompt)
    sys.stderr.flush()
    return sys.stdin.readline()

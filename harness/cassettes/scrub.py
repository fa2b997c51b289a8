"""Secrets and people out of what goes on a tape, and back in again where a replay has an account of its own.

Credentials are replaced by value, in every form in which an answer could repeat them, each form by a placeholder of its
own: `{{MP_SECRET}}`, `{{MP_SECRET:base64+1}}`. The replay's own credentials are replaced the same way in what it asks,
so that matching knows only placeholders.

In what live Mixpanel answers, texts that look like e-mail addresses and tokens are replaced too, the same one by the
same one on every tape of an account: what replaces them is derived with the account's secret, and cannot be turned back
without it. What a case asks for by name is in the repository already, and stays.
"""

import base64
import hashlib
import hmac
import html
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, urlencode

from harness.cassettes.tape import Answer, Asked, AskedBack, Exchange, Interaction, Tape, ToolCall
from harness.cassettes.written import FORM
from harness.errors import Exit, HarnessError

SHORTEST = 6
PROJECT_ID = "3100042"
"""Every tape's project: the emulator's own by default, so that tapes from there and from live Mixpanel are alike."""

EMAIL = re.compile(
    rb"(?<![A-Za-z0-9._+-])[A-Za-z0-9._+-]++(@|%40)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,6}\.[A-Za-z]{2,24}"
)
TOKEN = re.compile(rb"(?<![A-Za-z0-9_-])(?=[A-Za-z_-]*[0-9])(?=[0-9_-]*[A-Za-z])[A-Za-z0-9_-]{32,}")
INVENTED = b"@example.invalid"
STAND_IN = b"stand-in-"


def _base64(text: str, skipped: int, *, altchars: bytes | None = None) -> str:
    """What is certain of a text's base64 when so many bytes of a group stand in front of it."""
    data = bytes(skipped) + text.encode()
    return base64.b64encode(data, altchars).decode()[-(-skipped * 8 // 6) : len(data) * 8 // 6]


def _escaped(text: str) -> str:
    return json.dumps(text)[1:-1]


FORMS: Mapping[str, Callable[[str], str]] = {
    "": str,
    "url": lambda text: quote(text, safe=""),
    "url-lower": lambda text: re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), quote(text, safe="")),
    "path": quote,
    "form": quote_plus,
    "json": _escaped,
    "json-utf8": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "json-twice": lambda text: _escaped(_escaped(text)),
    "html": html.escape,
    "url-twice": lambda text: quote(quote(text, safe=""), safe=""),
    **{f"base64+{n}": lambda text, n=n: _base64(text, n) for n in range(3)},  # type: ignore[misc]  # n is bound
    **{f"base64url+{n}": lambda text, n=n: _base64(text, n, altchars=b"-_") for n in range(3)},  # type: ignore[misc]
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
}
"""How a secret may be written; the plain one first."""


def forms_of(secret: str) -> dict[str, str]:
    """Each form of a secret by its name, without those that are another one's double."""
    found: dict[str, str] = {}
    for name, form in FORMS.items():
        written = form(secret)
        # A few letters of base64 are found in any text.
        if len(written) >= SHORTEST and written not in found.values():
            found[name] = written
    return found


class Credentials:
    """One account's credentials: away from what goes on a tape, and into what comes from one.

    Args:
        username, secret: the account's; both are replaced
        project_id: PROJECT_ID stands for it wherever it stands as a number of its own

    Raises:
        HarnessError: SECRET_TOO_SHORT (exit 2): it cannot be told from other text.
    """

    def __init__(self, username: str, secret: str, project_id: str) -> None:
        for name, value in (("MP_USERNAME", username), ("MP_SECRET", secret)):
            if len(value) < SHORTEST:
                raise HarnessError(
                    "SECRET_TOO_SHORT",
                    f"{name} has fewer than {SHORTEST} characters, and cannot be told from other text on a tape",
                    fix="take another service account",
                    exit_code=Exit.USAGE,
                )
        basic = base64.b64encode(f"{username}:{secret}".encode()).decode()
        values = {"MP_BASIC": basic, "MP_SECRET": secret, "MP_USERNAME": username}
        self._away: dict[bytes, bytes] = {}
        self._back: dict[bytes, bytes] = {}
        for name, value in values.items():
            # Another account's secret may be written otherwise where this one's is not: back, each form has its own.
            self._back |= {_placeholder(name, form): write(value).encode() for form, write in FORMS.items()}
            for form, written in forms_of(value).items():
                self._away.setdefault(written.encode(), _placeholder(name, form))
        # Longest first: a form that is part of another must not leave the rest of it behind.
        self._written = re.compile(b"|".join(map(re.escape, sorted(self._away, key=len, reverse=True))))
        self._placed = re.compile(rb"\{\{MP_(?:BASIC|SECRET|USERNAME)(?::[A-Za-z0-9+-]+)?\}\}")
        self._project = project_id.encode()
        self._projects_away, self._projects_back = map(_alone, (self._project, PROJECT_ID.encode()))

    def __repr__(self) -> str:
        return "Credentials(…)"

    def away(self, data: bytes) -> bytes:
        """The bytes with placeholders."""
        cleaned = self._written.sub(lambda found: self._away[found[0]], data)
        return self._projects_away.sub(PROJECT_ID.encode(), cleaned)

    def back(self, data: bytes) -> bytes:
        """The bytes with this account's values, its project's number too: it looks itself up in what it is told."""
        told = self._placed.sub(lambda found: self._back.get(found[0], found[0]), data)
        return self._projects_back.sub(lambda _: self._project, told)


def _alone(number: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"(?<![0-9A-Za-z])%s(?![0-9A-Za-z])" % re.escape(number))


def _placeholder(name: str, form: str) -> bytes:
    return f"{{{{{name}:{form}}}}}".encode() if form else f"{{{{{name}}}}}".encode()


class People:
    """E-mail addresses and tokens in what live Mixpanel tells.

    Args:
        key: what the replacements are derived with
        kept: text that is public already; what stands in it stays
    """

    def __init__(self, key: str, kept: str) -> None:
        self._key, self._kept = key.encode(), kept.encode()

    def __repr__(self) -> str:
        return "People(…)"

    def away(self, data: bytes) -> bytes:
        """The bytes without them."""
        return TOKEN.sub(self._token, EMAIL.sub(self._email, data))

    def _email(self, found: re.Match[bytes]) -> bytes:
        if found[0].endswith(INVENTED[1:]) or found[0] in self._kept:
            return found[0]
        plain = found[0].replace(b"%40", b"@").lower()
        return b"person-" + self._derived(plain) + found[1] + INVENTED[1:]

    def _token(self, found: re.Match[bytes]) -> bytes:
        return found[0] if found[0] in self._kept else STAND_IN + self._derived(found[0])

    def _derived(self, value: bytes) -> bytes:
        return hmac.new(self._key, value, hashlib.sha256).hexdigest()[:16].encode()


Cleaner = Callable[[bytes], bytes]


def asked(request: Asked, clean: Cleaner) -> Asked:
    """The request, cleaned wherever text can stand; a form's fields as they are meant, and not as they travel."""
    body = request.body
    if body and request.media_type == FORM:
        fields = parse_qsl(body.decode("utf-8", "surrogateescape"), keep_blank_values=True)
        cleaned = _fields(fields, clean)
        body = body if cleaned == tuple(fields) else urlencode(cleaned).encode()
    return replace(request, url=_text(request.url, clean), query=_fields(request.query, clean), body=clean(body))


def answer(given: Answer, clean: Cleaner) -> Answer:
    """The answer, likewise."""
    headers = {name: _text(value, clean) for name, value in given.headers.items()}
    return replace(given, headers=headers, body=clean(given.body))


def interaction(each: Interaction, clean: Cleaner) -> Interaction:
    """Both."""
    return Interaction(asked(each.asked, clean), answer(each.answer, clean))


def whole(tape: Tape, clean: Cleaner) -> Tape:
    """Every request, answer and call of a tape."""
    return replace(
        tape,
        interactions=tuple(interaction(each, clean) for each in tape.interactions),
        exchanges=tuple(exchange(each, clean) for each in tape.exchanges),
    )


def exchange(each: Exchange, clean: Cleaner) -> Exchange:
    """A call of a tool, its result, and what was asked back before."""
    asked_back = (
        AskedBack(question.method, _value(dict(question.params), clean), _value(dict(question.reply), clean))
        for question in each.asked_back
    )
    return Exchange(
        ToolCall(each.call.tool, _value(dict(each.call.arguments), clean)),
        _value(dict(each.result), clean),
        tuple(asked_back),
    )


def _value(value: Any, clean: Cleaner) -> Any:
    """A JSON value, each text in it as it is meant, and each whole number, which may be the project's."""
    if isinstance(value, dict):
        return {_text(name, clean): _value(inner, clean) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_value(inner, clean) for inner in value]
    if isinstance(value, str):
        return _text(value, clean)
    if isinstance(value, int) and not isinstance(value, bool):
        said = _text(str(value), clean)
        return int(said) if said.isdecimal() else value
    return value


def _fields(pairs: Iterable[tuple[str, str]], clean: Cleaner) -> tuple[tuple[str, str], ...]:
    return tuple((_text(name, clean), _text(value, clean)) for name, value in pairs)


def _text(text: str, clean: Cleaner) -> str:
    # A text of JSON may hold half of a pair, which has no bytes of its own.
    return clean(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

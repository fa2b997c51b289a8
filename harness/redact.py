"""Take secrets out of texts: by value in every form in which one travels, and by the name that stands before one.

A value that was found by its name in one text is taken out of all the others by value.
"""

import base64
import html
import json
import re
import shlex
from collections.abc import Iterable, Mapping
from urllib.parse import quote, unquote

MASK = "[redacted]"
SHORTEST = 4
"""Shorter values stand in every text by chance; they are taken out by their name alone."""
SHORTEST_FOUND = 6
NAME_WORDS = (
    "secret", "token", "passwd", "password", "passphrase", "pwd", "credential", "credentials", "authorization",
    "cookie", "cookies", "apikey", "key", "dsn", "bearer", "signature",
)  # fmt: skip
NO_SECRETS = frozenset(
    {"undefined", "required", "missing", "present", "invalid", "expired", "string", "number", "boolean", "object"}
    | {"unset", "default", "private", "public", "bearer", "digest", "redacted", MASK, "SecretStr", "**********"}
)
"""Words that stand behind such a name in prose and are no value."""

_BASE64 = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=")
# Every repeat is bounded or gives nothing back, so that no text takes longer than its length.
_NAMED = re.compile(
    r"(?i)(?:secret|token|passw(?:or)?d|passphrase|pwd|credentials?|authorization|cookie|api[_-]?key|[_-]key|\bkey(?![a-z])"
    r"|signature|session[_-]?id)[\w-]{0,40}+(?P<quote>\\{0,3}[\"']|)"
    r"(?P<between>\s{0,4}+(?:=>|[:=])\s{0,4}+|\s{1,4}+(?=\S))(?P<scheme>(?:basic|bearer|digest)\s{1,4}+)?"
    r"(?:\\{0,3}\"(?P<double>[^\"\\\n]{1,4096}+)|\\{0,3}'(?P<single>[^'\\\n]{1,4096}+)|(?P<bare>[^\s\"'\\]{1,4096}+))"
)
_SCHEME = re.compile(r"(?i)\b(?:basic|bearer)\s{1,4}+(?P<value>[A-Za-z0-9._~+/=-]{6,8192}+)")
_URL = re.compile(r"(?<=://)(?P<user>[^\s/@:\"'<>]{0,256}+):(?P<value>[^\s/@\"'<>]{1,1024}+)(?=@)")
_SHAPED = re.compile(
    r"\b(?:eyJ[A-Za-z0-9_-]{8,4096}+\.[A-Za-z0-9_-]{4,8192}+\.[A-Za-z0-9_-]{0,4096}+|sk-[A-Za-z0-9_-]{16,256}+"
    r"|gh[pousr]_[A-Za-z0-9]{20,256}+|xox[abpr]-[A-Za-z0-9-]{10,256}+|AKIA[A-Z0-9]{16})"
)
_COOKIES = re.compile(r"(?i)\b(?:set-)?cookie[\"']?\s{0,4}+:\s{0,4}+[\"']?(?P<value>[^\n\"']{1,8192}+)")
_KEY_BLOCK = re.compile(
    r"(?:\A|-----BEGIN [A-Z ]{0,40}?KEY-----)(?:[A-Za-z0-9+/=\s]|\\[nr])*+-----END [A-Z ]{0,40}?KEY-----"
)
_ENDS = re.compile(r"[,;&)}\]>]")
_WORDS = re.compile(r"[A-Za-z][a-z]+|[A-Z]+(?![a-z])|[a-z]+")


def names_a_secret(name: str) -> bool:
    """Whether what this variable, key or header holds is a secret, by its name: MP_SECRET, openai_api_key, Cookie."""
    if name in ("PWD", "OLDPWD"):
        return False
    words = {word.lower() for word in _WORDS.findall(name)}
    return bool(words & set(NAME_WORDS)) or any(
        name.lower().endswith(word) for word in ("secret", "token", "password", "apikey", "passwd")
    )


def secrets_of(values: Mapping[str, str]) -> set[str]:
    """The secrets among variables: by name, and the passwords inside of addresses."""
    found = {value for name, value in values.items() if value and names_a_secret(name)}
    return found | {match["value"] for value in values.values() for match in _URL.finditer(value)}


class Redactor:
    """Knows secrets, and takes them out of texts.

    Args:
        values: the secrets themselves; those shorter than four characters are left to their names
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values: set[str] = set()
        self._instead: dict[str, str] = {}
        self._plain: tuple[str, ...] = ()
        self._coded: tuple[str, ...] = ()
        self._percent: tuple[re.Pattern[str], ...] = ()
        self.add(values)

    def __repr__(self) -> str:
        return f"Redactor({len(self._values)} secrets)"

    def add(self, values: Iterable[str]) -> None:
        """Learn more secrets."""
        parts = {part.strip() for value in values for part in (value, *value.splitlines())}
        self._values |= {part for part in parts if len(part) >= SHORTEST and part not in MASK}
        forms = {form for value in self._values for form in _plain_forms(value)}
        coded = {form for value in self._values for form in _base64_forms(value)}
        self._percent = tuple(map(_percent_form, sorted(self._values, key=lambda value: (-len(value), value))))
        # The longest first, so that no piece of a longer secret is left behind by a shorter one.
        self._plain = tuple(sorted(forms, key=lambda form: (-len(form), form)))
        self._coded = tuple(sorted(coded, key=lambda form: (-len(form), form)))

    def put(self, instead: str, text: str) -> None:
        """Write something else wherever exactly this text stands."""
        self._instead[text] = instead

    def learn(self, text: str) -> None:
        """Learn the secrets that names in this text give away, to find them elsewhere without their names."""
        found: set[str] = set()
        for match in _NAMED.finditer(text):
            value = match["double"] or match["single"] or match["bare"]
            sure = match["double"] or match["single"] or "=" in match["between"] or match["scheme"]
            if sure or not value.isalpha():
                found.add(value)
        for pattern in (_SCHEME, _URL):
            found |= {match["value"] for match in pattern.finditer(text)}
        found |= {match[0] for match in _SHAPED.finditer(text)}
        # What ends an unquoted value is not known: an ampersand may belong to it, or to the address around it.
        found |= {part for value in found for part in _ENDS.split(value)}
        found |= {pair.partition("=")[2] for m in _COOKIES.finditer(text) for pair in m["value"].split(";")}
        self.add(value for value in (found | {unquote(value) for value in found}) if _may_be_secret(value))

    def text(self, text: str) -> str:
        """The text without secrets."""
        for long in sorted(self._instead, key=len, reverse=True):
            text = text.replace(long, self._instead[long])
        text = _KEY_BLOCK.sub(MASK, text)
        text = self._by_value(text)
        text = _COOKIES.sub(lambda match: match[0].replace(match["value"], MASK), text)
        text = _NAMED.sub(_without_value, text)
        text = _URL.sub(rf"\g<user>:{MASK}", text)
        text = _SCHEME.sub(lambda match: match[0].replace(match["value"], MASK), text)
        return _SHAPED.sub(MASK, text)

    def value(self, value: object, name: str = "") -> object:
        """A JSON value without secrets: texts and keys are cleaned, and what a telling name holds is left out."""
        if isinstance(value, dict):
            return {self.text(str(key)): self.value(each, str(key)) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(each, name) for each in value]
        if isinstance(value, str):
            return MASK if value and names_a_secret(name) else self.text(value)
        return value

    def left_in(self, raw: bytes) -> int:
        """How many of the known secrets stand in these bytes after all, in any of their forms."""
        text = raw.decode(errors="replace")
        forms = {value: (*_plain_forms(value), *_base64_forms(value)) for value in self._values}
        percent = "%" in text
        return sum(
            any(form in text for form in each) or bool(percent and _percent_form(value).search(text))
            for value, each in forms.items()
        )

    def _by_value(self, text: str) -> str:
        for form in self._plain:
            if form in text:
                text = text.replace(form, MASK)
        if "%" in text:
            for pattern in self._percent:
                text = pattern.sub(MASK, text)
        for form in self._coded:
            text = _without_run(text, form)
        return text


def _plain_forms(value: str) -> set[str]:
    """How a secret is written where somebody quotes or escapes it."""
    ascii_json, wide_json = json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]
    forms = {
        value,
        value.replace(" ", "+"),  # of a form, where nothing else needs a percent sign
        *(ascii_json, wide_json, json.dumps(ascii_json)[1:-1], json.dumps(wide_json)[1:-1]),
        *(html.escape(value), html.escape(value, quote=False)),
        *(shlex.quote(value).removeprefix("'").removesuffix("'"), repr(value)[1:-1]),
        *(value.encode(errors="replace").hex(), value.encode(errors="replace").hex().upper()),
    }
    return {form for form in forms if len(form) >= SHORTEST}


def _percent_form(value: str) -> re.Pattern[str]:
    """The secret in an address or a form: any of its characters percent-encoded, also twice, in either case."""
    parts = []
    for character in value:
        coded = "".join(f"%(?:25){{0,2}}{byte:02x}" for byte in character.encode(errors="replace"))
        blank = r"|\+" if character == " " else ""
        parts.append(f"(?:{re.escape(character)}|(?i:{coded}){blank})")
    return re.compile("".join(parts))


def _base64_forms(value: str) -> set[str]:
    """The part of its base64 that holds nothing but the secret, for each place in a group of three where it may begin.

    So it is found behind `user:` and in front of anything.
    """
    raw = value.encode(errors="replace")
    found: set[str] = set()
    for before in range(3):
        whole = (before + len(raw)) // 3 * 3 - before
        core = base64.b64encode(b"\0" * before + raw[:whole])[(0, 2, 3)[before] :].decode()
        if len(core) >= SHORTEST:
            found |= {core, core.replace("+", "-").replace("/", "_"), quote(core, safe="")}
    return found


def _without_run(text: str, form: str) -> str:
    """The text without the whole run of base64 in which a form stands: its neighbours hold the ends of the secret."""
    at, parts = 0, []
    while (hit := text.find(form, at)) >= 0:
        start, end = hit, hit + len(form)
        while start > at and _is_base64(text[start - 1]):
            start -= 1
        while end < len(text) and _is_base64(text[end]):
            end += 1
        parts += [text[at:start], MASK]
        at = end
    return "".join((*parts, text[at:])) if parts else text


def _is_base64(character: str) -> bool:
    return character.isascii() and ord(character) in _BASE64


def _without_value(match: re.Match[str]) -> str:
    value = match["double"] or match["single"] or match["bare"]
    if value.startswith(MASK[:-1]):
        return match[0]
    # "token expired" is prose: without a sign between them only what looks like a value is one.
    if not match["between"].strip() and not match["scheme"] and (value.isalpha() or len(value) < SHORTEST_FOUND):
        return match[0]
    start = match.end() - len(value) - match.start()
    return match[0][:start] + MASK


def _may_be_secret(value: str) -> bool:
    plain = value.strip("\"' ")
    return len(plain) >= SHORTEST_FOUND and plain not in NO_SECRETS and plain.lower() not in NO_SECRETS

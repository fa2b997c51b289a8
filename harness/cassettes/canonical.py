"""What makes two requests the same: Mixpanel's own URL wherever it really went, and nothing that means nothing.

The order of parameters, of a form's fields and of a JSON object's members means nothing, neither in a body nor in a
parameter whose value is JSON. The order of a list does, and so does every letter of a text.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from harness.cassettes.tape import Answer, Asked, Interaction
from harness.cassettes.written import FORM
from harness.errors import HarnessError
from mixpanel_data.endpoints import HOSTS, PREFIXES

KEPT_HEADERS = ("content-type", "content-encoding", "retry-after", "location", "www-authenticate")
"""Of an answer: what a client acts on. `date` stays beside a retry-after that is a date, which is meant against it."""

MADE_UP: Mapping[str, str] = {
    "session_id": "each walk through the profiles gets another, and sends it with every page",
    "job_id": "each query gets another",
}
"""Members of answers whose values differ each time, also where a later request sends them back, with the reason."""

_MIXPANELS = re.compile(r"(?:(?:data|data-eu|data-in|eu|in|api|api-eu|api-in)\.)?mixpanel\.com")
_MADE_UP = re.compile(rb'"(' + "|".join(MADE_UP).encode() + rb')"\s*:\s*"([^"\\]{8,200})"')
_FORM_OF_SECRET = re.compile(r"(\{\{MP_[A-Z]+):[A-Za-z0-9+-]+\}\}")
_SHOWN = 120


def asked(method: str, url: str, media_type: str, body: bytes, base_url: str | None) -> Asked:
    """The request as Mixpanel's US hosts would get it; which region a project is in, its tape says once.

    Args:
        base_url: what stands in for all of Mixpanel's hosts, region filled in; None where nothing does

    Raises:
        HarnessError: FOREIGN_REQUEST: it goes somewhere else.
    """
    parts = urlsplit(url)
    path = parts.path
    if base_url is not None and _is_below(url, base_url):
        path = path[len(urlsplit(base_url).path.rstrip("/")) :]
    elif parts.scheme != "https" or not _MIXPANELS.fullmatch(parts.hostname or "") or parts.port:
        raise HarnessError(
            "FOREIGN_REQUEST",
            f"{method} {parts.scheme}://{parts.hostname}{path} is no request to Mixpanel",
            fix="unset what points the library elsewhere, such as a base URL that the recording does not know of",
        )
    query = tuple(parse_qsl(parts.query, keep_blank_values=True))
    return Asked(method.upper(), _address(path), query, media_type.partition(";")[0].strip().lower(), body)


@cache
def told(base_url: str | None) -> Callable[[bytes], bytes]:
    """What puts Mixpanel's own address into a text that tells where a request really went."""
    hosts = [rf"https://{_MIXPANELS.pattern}(?=/)", *([re.escape(base_url.rstrip("/"))] if base_url else [])]
    prefixes = "|".join(map(re.escape, PREFIXES.values()))
    known = re.compile(rf"(?:{'|'.join(hosts)})((?:{prefixes})(?:/[A-Za-z0-9._~%/-]*)?)(?![A-Za-z0-9])".encode())
    return lambda text: known.sub(lambda found: _address(found[1].decode()).encode(), text)


def kept_headers(headers: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Those of an answer's headers that belong on a tape."""
    said = {name.lower(): ", ".join(values) for name, values in headers.items()}
    dated = not said.get("retry-after", "0").strip().isdecimal()
    names = (*KEPT_HEADERS, *(("date",) if dated else ()))
    return {name: said[name] for name in names if name in said}


def at_its_clock(answer: Answer, clock: datetime) -> Answer:
    """The answer as if it had been given when a tape's clock stands: dates among its headers, as far apart as they
    were."""
    said = answer.headers
    try:
        away = parsedate_to_datetime(said["retry-after"]) - parsedate_to_datetime(said["date"])
        dates = {"retry-after": format_datetime(clock + away, usegmt=True), "date": format_datetime(clock, usegmt=True)}
    except (KeyError, ValueError, TypeError):
        return answer
    return replace(answer, headers={**said, **dates})


def made_up(interactions: Iterable[Interaction]) -> Callable[[bytes], bytes]:
    """What puts a number into the place of each name that was made up for an answer, in the order of the answers."""
    names: dict[bytes, bytes] = {}
    for each in interactions:
        for member, name in _MADE_UP.findall(each.answer.body):
            names.setdefault(name, member + b"-%d" % (len(names) + 1))
    if not names:
        return bytes
    known = re.compile(b"|".join(map(re.escape, sorted(names, key=len, reverse=True))))
    return lambda text: known.sub(lambda found: names[found[0]], text)


def key(request: Asked) -> str:
    """The same text for requests that mean the same, and for no others."""
    means = [request.method, request.url, _canonical(request.query), _body(request)]
    # How a secret had to be written depends on its letters, and a replay's account has others.
    return _FORM_OF_SECRET.sub(r"\1}}", json.dumps(means, sort_keys=True))


def shown(request: Asked) -> str:
    """The request on one line."""
    said = ", ".join(f"{name}={_cut(value)}" for name, value in sorted(request.query))
    return f"{request.method} {request.url}" + (f" with {said}" if said else "")


def differences(here: Asked, there: Asked) -> list[str]:
    """What differs between a request and a recorded one, one sentence each."""
    found = []
    if here.method != there.method:
        found.append(f"the method is {here.method}, on the tape {there.method}")
    if here.url != there.url:
        found.append(f"the URL is {here.url}, on the tape {there.url}")
    pairs = ((_fields(here.query), _fields(there.query)), (_body_fields(here), _body_fields(there)))
    for mine, its in pairs:
        differing = (name for name in sorted({*mine, *its}) if mine.get(name) != its.get(name))
        found += [f"{name} is {_said(mine, name)}, on the tape {_said(its, name)}" for name in differing]
    return found or ["nothing but how its body is written"]


def nearest(here: Asked, there: Sequence[Interaction]) -> int | None:
    """Which recorded request is the most like this one: the same place first, then the fewest differences."""

    def far(number: int) -> tuple[bool, int]:
        other = there[number].asked
        return other.url != here.url, len(differences(here, other))

    return min(range(len(there)), key=far, default=None)


def is_good(answer: Answer) -> bool:
    """Whether an answer is what was asked for, and not an accident of the moment: a limit, a refusal to sign in, a
    failure inside."""
    return answer.status not in (401, 402, 408, 425, 429) and answer.status < 500


def _address(path: str) -> str:
    """Mixpanel's own of a path."""
    family = max(
        (name for name, prefix in PREFIXES.items() if f"{path}/".startswith(f"{prefix}/")),
        key=lambda name: len(PREFIXES[name]),
        default="query",
    )
    host = HOSTS[family].format(prefix="", suffix="")  # type: ignore[index]  # a key of the same catalogue
    return f"https://{host}{path}"


def _is_below(url: str, base_url: str) -> bool:
    mine, base = urlsplit(url), urlsplit(base_url)
    same = (mine.scheme, mine.hostname, mine.port) == (base.scheme, base.hostname, base.port)
    return same and f"{mine.path}/".startswith(base.path.rstrip("/") + "/")


def _canonical(pairs: Sequence[tuple[str, str]]) -> dict[str, list[Any]]:
    return {name: [_value(each) for each in values] for name, values in _fields(pairs).items()}


def _fields(pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _value(text: str) -> Any:
    """A text, or what it stands for where it is a JSON object or list; the two are never the same."""
    if text[:1] in ("{", "["):
        try:
            return {"json": json.loads(text)}
        except (ValueError, RecursionError):
            return text
    return text


def _body(request: Asked) -> Any:
    if not request.body:
        return ""  # however it would have been written
    text = request.body.decode("utf-8", "surrogateescape")
    if request.media_type == FORM:
        return {"form": _canonical(parse_qsl(text, keep_blank_values=True))}
    value = _value(text)
    # In /engage's body parameters are texts that hold JSON.
    if isinstance(value, dict) and isinstance(value["json"], dict):
        members = value["json"].items()
        return {"json": {name: _value(each) if isinstance(each, str) else each for name, each in members}}
    return value


def _body_fields(request: Asked) -> dict[str, list[str]]:
    text = request.body.decode("utf-8", "replace")
    if request.media_type == FORM:
        return _fields(parse_qsl(text, keep_blank_values=True))
    try:
        value = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        return {"the body": [text]}
    return {name: [each if isinstance(each, str) else json.dumps(each)] for name, each in value.items()}


def _said(fields: Mapping[str, list[str]], name: str) -> str:
    return " and ".join(map(_cut, fields[name])) if name in fields else "absent"


def _cut(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")

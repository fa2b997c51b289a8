"""Whether four values look like credentials at all, told without showing the secret."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from harness.stack.services import CREDENTIALS

REGIONS = ("us", "eu", "in")
SERVICE_ACCOUNT = re.compile(r"[^\s:]+\.[0-9a-f]{6}\.mp-service-account")
"""Source: reference/mixpanel-api.md, section 2"""

_PLACEHOLDER = re.compile(
    r"(?i)<.*>|\{.*\}|\$.*|\[.*\]|x{3,}|\*+|\.{3,}|…|0+|12345\d*"
    r"|(?:your|my|the|some|insert|enter|put|add)[-_. ].*|.*[-_. ]here|.*placeholder.*|change[-_ ]?me|todo|tbd|fixme"
    r"|(?:service[-_ ]?account[-_ ])?(?:user(?:name)?|secret|password|project[-_ ]?id|region)|dummy|none|null|undefined"
)
_WHERE = {
    "MP_USERNAME": "Mixpanel → Settings → Project → Service Accounts, column Username",
    "MP_SECRET": "Mixpanel shows it once, when the service account is made; make a new account if it is lost",
    "MP_PROJECT_ID": "Mixpanel → Settings → Project → Overview, a number",
    "MP_REGION": "us, eu or in: where the project's data is kept",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with one variable.

    code: NOT_SET, PLACEHOLDER, MALFORMED, or NO_SERVICE_ACCOUNT for a name that no service account has
    """

    variable: str
    code: str
    cause: str
    fix: str


def problems(environment: Mapping[str, str]) -> tuple[Problem, ...]:
    """What is wrong with the four, in their order; at most one problem each."""
    found = (_problem(name, environment.get(name)) for name in CREDENTIALS)
    return tuple(problem for problem in found if problem is not None)


def _problem(name: str, value: str | None) -> Problem | None:
    text = (value or "").strip()
    if value is None or not text:
        what = "is set and empty" if value is not None else "is not set"
        return Problem(name, "NOT_SET", f"{name} {what}", f"export it: {_WHERE[name]}")
    if _PLACEHOLDER.fullmatch(text):
        shown = "" if name == "MP_SECRET" else f" {text!r}"
        return Problem(name, "PLACEHOLDER", f"{name} is still a placeholder{shown}", f"put yours there: {_WHERE[name]}")
    wrong = _malformed(name, value)
    if wrong:
        return Problem(name, "MALFORMED", f"{name} {wrong}", f"correct it: {_WHERE[name]}")
    if name == "MP_USERNAME" and not SERVICE_ACCOUNT.fullmatch(text):
        return Problem(
            name,
            "NO_SERVICE_ACCOUNT",
            f"MP_USERNAME {text!r} is no service account's name, which looks like name.0a1b2c.mp-service-account",
            "take a service account, not a person's login or a project's token: " + _WHERE[name],
        )
    return None


def _malformed(name: str, value: str) -> str | None:
    text = value.strip()
    if text[0] in "'\"" or text[-1] in "'\"":
        return "has quotation marks in its value"
    if any(character.isspace() or not character.isprintable() for character in text):
        return "has a blank or a control character inside"
    if name == "MP_PROJECT_ID" and not (text.isascii() and text.isdigit()):
        token = " (it looks like the project's token)" if re.fullmatch(r"[0-9a-f]{32}", text) else ""
        return f"{text!r} is no number{token}"
    if name == "MP_REGION" and text.lower() not in REGIONS:
        return f"{text!r} is none of {', '.join(REGIONS)}"
    if name == "MP_SECRET" and SERVICE_ACCOUNT.fullmatch(text):
        return "holds the account's name, not its secret"
    return None

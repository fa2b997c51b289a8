"""Whether Mixpanel takes the credentials, asked through `mp auth test` in a process of its own; and if not, which of
the four is wrong.

Mixpanel answers 401 for an unknown account as for a wrong secret, and each region knows its own accounts only. So when
one region says 401 the others are asked: where the answer is anything else, the account lives there.

Source: reference/mixpanel-api.md, sections 2 and 4.2
"""

import json
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum

from harness import programs
from harness.creds.form import REGIONS, SERVICE_ACCOUNT
from harness.stack.services import misleading

TIMEOUT_S = 30.0
COMMAND = (sys.executable, "-P", "-m", "mixpanel_data.cli.app", "--verbose", "auth", "test", "--format", "json")


class Verdict(StrEnum):
    """What became of the real call."""

    ACCEPTED = "ACCEPTED"
    WRONG_REGION = "WRONG_REGION"
    WRONG_PROJECT = "WRONG_PROJECT"
    NO_ROLE = "NO_ROLE"
    WRONG_SECRET = "WRONG_SECRET"  # noqa: S105 - a verdict
    RATE_LIMITED = "RATE_LIMITED"
    NO_ANSWER = "NO_ANSWER"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Tried:
    """The verdict on four credentials.

    cause, fix: a sentence each; empty fix where they are accepted
    lives_in: the region whose Mixpanel knows the account, None where none was found to
    events: how many event names the project has, None unless accepted
    """

    verdict: Verdict
    cause: str
    fix: str = ""
    lives_in: str | None = None
    events: int | None = None


@dataclass(frozen=True, slots=True)
class _Answer:
    """What `mp auth test` said: the HTTP status of a refusal, None where there was no answer."""

    ok: bool
    status: int | None
    code: str
    message: str
    events: int | None = None


def try_out(environment: Mapping[str, str], timeout_s: float = TIMEOUT_S) -> Tried:
    """Ask Mixpanel one cheap question with the four variables of an environment.

    Args:
        environment: with four well-formed credentials; MP_API_BASE_URL holds for the call as for the library
        timeout_s: for each call; the other regions are asked side by side
    """
    region = environment["MP_REGION"].strip().lower()
    answer = _ask(environment, region, timeout_s)
    if answer.ok:
        return Tried(Verdict.ACCEPTED, f"Mixpanel accepts them in {region}", lives_in=region, events=answer.events)
    if answer.status == 401:
        return _not_known(environment, region, timeout_s)
    return _known(environment, region, answer)


def _known(environment: Mapping[str, str], region: str, answer: _Answer) -> Tried:
    """A refusal, or no answer, that says nothing against the secret."""
    project = environment["MP_PROJECT_ID"].strip()
    if answer.status == 400:
        return Tried(
            Verdict.WRONG_PROJECT,
            f"the account is known in {region}, and there is no project {project} there",
            "correct MP_PROJECT_ID: Mixpanel → Settings → Project → Overview",
            region,
        )
    if answer.status == 403:
        return Tried(
            Verdict.NO_ROLE,
            f"the account is known in {region}, and may not read project {project}",
            "correct MP_PROJECT_ID, or have the account added: Mixpanel → Settings → Project → Service Accounts",
            region,
        )
    if answer.status == 429:
        return Tried(
            Verdict.RATE_LIMITED,
            "Mixpanel knows the account, and the project's rate budget is used up",
            "wait until the hour is over, and ask again",
            region,
        )
    if answer.status is None:
        return Tried(Verdict.NO_ANSWER, answer.message, "check the network, proxies, and MP_API_BASE_URL if it is set")
    return Tried(Verdict.FAILED, f"{answer.code}: {answer.message}", "ask again; see mp --verbose auth test")


def _not_known(environment: Mapping[str, str], region: str, timeout_s: float) -> Tried:
    """401: the other regions tell a wrong region from a wrong secret."""
    base_url = environment.get("MP_API_BASE_URL", "").strip()
    account = "MP_USERNAME and MP_SECRET do not belong together, or the account has expired or was removed"
    shape = ""
    if not SERVICE_ACCOUNT.fullmatch(environment["MP_USERNAME"].strip()):
        shape = ", and MP_USERNAME is no service account's name, which looks like name.0a1b2c.mp-service-account"
    if base_url and "{region}" not in base_url:
        what = (
            f"the account is refused{shape}; MP_API_BASE_URL is the same for all regions, so they cannot be told apart"
        )
        return Tried(
            Verdict.WRONG_SECRET, what, f"{account}; put {{region}} into MP_API_BASE_URL if the region may be wrong"
        )
    others = [other for other in REGIONS if other != region]
    with ThreadPoolExecutor(len(others)) as pool:
        answers = dict(zip(others, pool.map(lambda other: _ask(environment, other, timeout_s), others), strict=True))
    home = next((other for other, answer in answers.items() if answer.ok or answer.status in {400, 403, 429}), None)
    if home is None:
        asked = [other for other, answer in answers.items() if answer.status == 401]
        silent = [other for other in others if other not in asked]
        rest = f" ({', '.join(silent)} did not answer)" if silent else ""
        what = f"{', '.join((region, *asked))}: no region knows this account with this secret{rest}{shape}"
        return Tried(Verdict.WRONG_SECRET, what, account)
    more = "" if answers[home].ok else f"; then look at MP_PROJECT_ID too: {home} says {answers[home].message}"
    cause = f"this account lives in {home}, and MP_REGION says {region}"
    return Tried(Verdict.WRONG_REGION, cause, f"export MP_REGION={home}{more}", home)


def _ask(environment: Mapping[str, str], region: str, timeout_s: float) -> _Answer:
    dropped = {*misleading(environment), "MP_ACCOUNT"}
    child = {name: value for name, value in environment.items() if name not in dropped} | {"MP_REGION": region}
    said = programs.run(COMMAND, child, timeout_s)
    if said.status is None:
        return _Answer(False, None, "TIMEOUT", f"no answer from {region} within {timeout_s:g} s")
    if said.status == 0:
        return _Answer(True, 200, "", "", json.loads(said.out)["events_found"])
    try:
        told = json.loads(said.err[said.err.index("\n{") :])
    except ValueError:
        last = said.err.strip().splitlines()[-1:] or ["it said nothing"]
        return _Answer(False, None, "FAILED", f"mp auth test ended with {said.status}: {last[0]}")
    return _Answer(False, told["details"].get("status_code"), told["code"], told["message"])

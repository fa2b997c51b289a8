"""Profiles: which are asked for, what a page of them is, and all of them as a stream that is not stored."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from mixpanel_data import arguments, clock
from mixpanel_data.endpoints import ENDPOINTS
from mixpanel_data.errors import APIError, InvalidArgumentError, QueryError
from mixpanel_data.results import Result

if TYPE_CHECKING:
    from mixpanel_data.api_client import MixpanelAPIClient

T = TypeVar("T")

# What a page holds where the answer does not say it.
PAGE_SIZE = 1000
_PARTS_OF_A_BEHAVIOR = ("window", "name", "event_selectors")
# An escape in JSON text: a whole character of two, half of one, or any other.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Question:
    """Which profiles are asked for.

    filters: the arguments that were given, by their names; as the ledger keeps them
    parameters: what is sent for each page, page and session aside
    is_empty: nobody is asked for, so that there is nothing to send
    """

    filters: Mapping[str, Any]
    parameters: Mapping[str, Any]
    is_empty: bool = False

    @property
    def names_profiles(self) -> bool:
        """Whether single profiles are asked for: a matter of one page, as a rule."""
        return "distinct_id" in self.parameters or "distinct_ids" in self.parameters


def question(
    *,
    where: str | None = None,
    cohort_id: str | int | None = None,
    output_properties: Sequence[str] | None = None,
    distinct_id: str | None = None,
    distinct_ids: Sequence[str] | None = None,
    group_id: str | None = None,
    behaviors: Sequence[Mapping[str, Any]] | None = None,
    as_of_timestamp: int | None = None,
    include_all_users: bool = False,
) -> Question:
    """The question that these filters are; `Workspace.fetch_profiles` describes them.

    Raises:
        InvalidArgumentError: one of them is wrong, or two do not go together.

    Source: reference/mixpanel-api.md, section 7.16
    """
    _check_pairs(
        cohort_id=cohort_id,
        distinct_id=distinct_id,
        distinct_ids=distinct_ids,
        behaviors=behaviors,
        include_all_users=include_all_users,
    )
    ids = None if distinct_ids is None else _ids(distinct_ids)
    filters = {
        "where": None if where is None else arguments.name("where", where),
        "cohort_id": None if cohort_id is None else _cohort(cohort_id),
        "output_properties": None
        if output_properties is None
        else arguments.names("output_properties", output_properties),
        "distinct_id": None if distinct_id is None else arguments.name("distinct_id", distinct_id),
        "distinct_ids": ids,
        "group_id": None if group_id is None else arguments.name("group_id", str(group_id)),
        "behaviors": None if behaviors is None else _behaviors(behaviors),
        "as_of_timestamp": None if as_of_timestamp is None else _instant(as_of_timestamp),
        "include_all_users": include_all_users or None,
    }
    given = {name: value for name, value in filters.items() if value is not None}
    return Question(given, _parameters(given, include_all_users), is_empty=ids == [])


def _parameters(given: Mapping[str, Any], include_all_users: bool) -> dict[str, Any]:
    sent = {
        name: given.get(name)
        for name in ("where", "distinct_id", "distinct_ids", "output_properties", "behaviors", "as_of_timestamp")
    }
    sent["data_group_id"] = given.get("group_id")
    if "cohort_id" in given:
        # Mixpanel adds members without a profile unless it is told not to.
        sent |= {"filter_by_cohort": {"id": given["cohort_id"]}, "include_all_users": include_all_users}
    if "behaviors" in given and "as_of_timestamp" not in given:
        # Else Mixpanel knows no second page: the windows would end somewhere else on each.
        sent["as_of_timestamp"] = int(clock.now().timestamp())
    return {name: value for name, value in sent.items() if value is not None}


def _check_pairs(
    *, cohort_id: Any, distinct_id: Any, distinct_ids: Any, behaviors: Any, include_all_users: Any
) -> None:
    if distinct_id is not None and distinct_ids is not None:
        raise InvalidArgumentError("distinct_ids", "distinct_id is given too", fix="give one of the two")
    if behaviors is not None and cohort_id is not None:
        raise InvalidArgumentError("behaviors", "cohort_id is given too", fix="give one of the two")
    if include_all_users and cohort_id is None:
        raise InvalidArgumentError(
            "include_all_users", "it says something about a cohort, and none is given", fix="give cohort_id too"
        )


def _ids(values: Sequence[str]) -> list[str]:
    if isinstance(values, str):
        raise InvalidArgumentError("distinct_ids", f"{values!r} is one text, not a list", fix=f"write [{values!r}]")
    return list(dict.fromkeys(arguments.name("distinct_ids", value) for value in values))


def _cohort(value: str | int) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not (text.isascii() and text.isdigit()):
        raise InvalidArgumentError("cohort_id", f"{value!r} is not an id", fix="take one from the list of cohorts")
    return int(text)


def _behaviors(values: Any) -> list[Mapping[str, Any]]:
    fix = "write [{'window': '30d', 'name': 'plays', 'event_selectors': [{'event': 'Song Played'}]}]"
    if not isinstance(values, list):
        raise InvalidArgumentError("behaviors", f"{values!r} is not a list", fix=fix)
    for value in values:
        lacking = [part for part in _PARTS_OF_A_BEHAVIOR if not isinstance(value, Mapping) or part not in value]
        if lacking:
            raise InvalidArgumentError("behaviors", f"{value!r} has no {', '.join(lacking)}", fix=fix)
    if not values:
        raise InvalidArgumentError("behaviors", "the list is empty", fix=fix)
    return list(values)


def _instant(value: object) -> int:
    seconds = arguments.whole("as_of_timestamp", value, 0)
    if seconds > clock.now().timestamp():
        raise InvalidArgumentError(
            "as_of_timestamp", f"{seconds} is in the future", fix="give unix seconds that have passed"
        )
    return seconds


@dataclass(frozen=True)
class ProfilePageResult(Result):
    """One page of profiles.

    profiles: the API's own objects, each with `$distinct_id` and `$properties`
    session_id: what the next page is asked for with; None when there was none
    page: from 0
    has_more: whether there is a page behind this one
    total: how many profiles there are on all pages; None where Mixpanel did not say
    page_size: how many a full page has
    """

    profiles: tuple[dict[str, Any], ...] = field(repr=False)
    session_id: str | None
    page: int
    has_more: bool
    total: int | None
    page_size: int

    @property
    def num_pages(self) -> int | None:
        """How many pages there are, None where the total is not known."""
        return None if self.total is None else math.ceil(self.total / self.page_size)

    def to_dict(self) -> dict[str, Any]:
        """The fields, profile_count and num_pages, JSON-ready."""
        return {**super().to_dict(), "profile_count": len(self.profiles), "num_pages": self.num_pages}


def asked_for_page(asked: Question, page: int, session_id: str | None) -> dict[str, Any]:
    """What is sent for a page: all of the question again, and the session behind the first."""
    if page == 0:
        return {**asked.parameters, "page": 0}
    return {**asked.parameters, "page": page, "session_id": session_id}


def parsed(text: bytes) -> Any:
    """The JSON of an answer.

    Raises:
        APIError: it is none.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise APIError("the answer of engage is not JSON", status_code=200) from error


def decoded(answer: Any, page: int, first: ProfilePageResult | None = None) -> ProfilePageResult:
    """The page that an answer is.

    Args:
        first: page 0, which alone may say how many there are

    Raises:
        QueryError: the answer is an error.
        APIError: it is not a page of profiles, or another one than was asked for.

    Source: reference/mixpanel-api.md, section 7.16
    """
    if isinstance(answer, dict) and isinstance(answer.get("error"), str) and "results" not in answer:
        raise QueryError(answer["error"], status_code=200)
    profiles = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(profiles, list) or not all(map(_is_profile, profiles)):
        raise APIError("the answer of engage is not a page of profiles", status_code=200)
    if answer.get("page", page) != page:
        raise APIError(f"page {answer['page']} of profiles came where page {page} was asked for", status_code=200)
    size = first.page_size if first else _count(answer.get("page_size")) or PAGE_SIZE
    total = first.total if first else _total(answer.get("total"), size, len(profiles))
    session = answer.get("session_id")
    return ProfilePageResult(
        profiles=tuple(profiles),
        session_id=session if isinstance(session, str) else None if first is None else first.session_id,
        page=page,
        has_more=len(profiles) >= size if total is None else (page + 1) * size < total,
        total=total,
        page_size=size,
    )


def _total(told: Any, size: int, on_page: int) -> int | None:
    # By the schema `total` is the number of profiles in `results`, in practice that on all pages. On a full first page
    # whose size it equals, it may be either.
    total = _count(told)
    return None if total is None or (total <= on_page and on_page >= size) or total < on_page else total


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _is_profile(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("$distinct_id"), str | int)
        and isinstance(value.get("$properties", {}), dict)
    )


def sound(text: bytes) -> bytes:
    """The text of an answer without halves of characters, which a cut in the middle of one leaves behind."""
    if rb"\ud" not in text and rb"\uD" not in text:
        return text
    return _ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], text)


class SessionOverError(Exception):
    """Mixpanel no longer knows the frozen answer whose next page was asked for; `error` has its words."""

    def __init__(self, error: QueryError) -> None:
        super().__init__(error.message)
        self.error = error


def within_session(page: int, ask: Callable[[], T]) -> T:
    """What `ask` returns.

    Raises:
        SessionOverError: it fails because the session is over.
    """
    try:
        return ask()
    except QueryError as error:
        words = error.message.lower()
        if page == 0 or error.status_code != 400 or not ("session" in words or "uncached query" in words):
            raise
        raise SessionOverError(error) from error


def pages(client: MixpanelAPIClient, asked: Question) -> Iterator[ProfilePageResult]:
    """Page after page, each asked for when the one before it is used up."""
    first: ProfilePageResult | None = None
    page: ProfilePageResult | None = None
    while page is None or page.has_more:
        number = 0 if page is None else page.page + 1
        session = None if page is None else page.session_id
        answer = client.call(ENDPOINTS["profiles"], asked_for_page(asked, number, session))
        page = decoded(answer, number, first)
        first = first or replace(page, profiles=())
        yield page


def stream(client: MixpanelAPIClient, asked: Question, *, raw: bool) -> Iterator[dict[str, Any]]:
    """Source: reference/mixpanel-api.md, section 7.16"""
    if asked.is_empty:
        return
    for page in pages(client, asked):
        for profile in page.profiles:
            yield profile if raw else transform_profile(profile)


def transform_profile(profile: Mapping[str, Any]) -> dict[str, Any]:
    """A profile as the API sends it, in the shape of a row: distinct_id, last_seen, properties.

    Returns:
        A new dict; last_seen is the API's text (UTC, without zone), None where there is none.
    """
    properties = dict(profile.get("$properties") or {})
    last_seen = properties.pop("$last_seen", None)
    return {"distinct_id": str(profile.get("$distinct_id", "")), "last_seen": last_seen, "properties": properties}

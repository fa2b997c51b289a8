"""A request before it is sent: which operation, with which parameters, in which of the three places they travel.

Source: reference/mixpanel-api.md, section 3
"""

from __future__ import annotations

import json as _json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from mixpanel_data.errors import ConfigError, InvalidArgumentError

if TYPE_CHECKING:
    from mixpanel_data.endpoints import Endpoint, Rate

# No longer URL leaves httpx, which takes 65,536 characters; what is left is for the address.
_LONGEST_QUERY = 60_000
# Headers that say who asks, where to, and how the body is framed: not a caller's to set.
_OURS = frozenset({"authorization", "host", "content-length", "transfer-encoding", "accept-encoding"})


@dataclass(frozen=True, slots=True)
class Asked:
    """A request.

    timeout_s: without a byte, before it is given up
    query, form, json: where its parameters travel
    reads: whether it does no harm to send it twice
    """

    method: str
    url: str
    rate: Rate
    timeout_s: float
    query: Mapping[str, Any]
    form: Mapping[str, str] | None = None
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    reads: bool = True

    @property
    def body(self) -> Mapping[str, Any] | None:
        """The fields of the body, for error reports."""
        if self.json is None:
            return self.form
        return self.json if isinstance(self.json, dict) else {"json": self.json}


def of_row(
    endpoint: Endpoint,
    parameters: Mapping[str, Any],
    path_arguments: Mapping[str, object],
    *,
    project_id: str,
    region: str,
    base_url: str | None,
    timeout_s: float,
) -> Asked:
    """The request of one operation.

    Raises:
        InvalidArgumentError: what travels in the URL is too long for one.
        TypeError: the row knows no such parameter or path argument; a mistake of ours.
    """
    if unknown := sorted(set(parameters) - set(endpoint.parameters)):
        raise TypeError(f"{endpoint.name} has no parameter {', '.join(unknown)}")
    project, in_path = {"project_id": project_id}, "project_id" in endpoint.path_arguments
    beside = project if endpoint.of_project and not in_path else {}
    check_length(path_arguments)
    return Asked(
        endpoint.method,
        endpoint.url(region, base_url, {**path_arguments, **(project if in_path else {})}),
        endpoint.rate,
        timeout_s,
        {**beside, **(check_length(_as_text(parameters)) if endpoint.sends == "query" else {})},
        form=_as_text(parameters) if endpoint.sends == "form" else None,
        json=_as_json(parameters) if endpoint.sends == "json" else None,
    )


def check_length(query: Mapping[str, Any]) -> Mapping[str, Any]:
    """What travels in a URL, if it fits in one.

    Raises:
        InvalidArgumentError: it does not; names the longest part of it.
    """
    if len(urlencode(query, doseq=True)) > _LONGEST_QUERY:
        longest = max(query, key=lambda name: len(str(query[name])))
        problem = f"it is too long to be asked for ({len(str(query[longest])):,} characters)"
        raise InvalidArgumentError(longest, problem, fix="name fewer things at once, or say it in fewer words")
    return query


def callers_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """The headers, if they are a caller's to set.

    Raises:
        ConfigError: one of them says who asks, where to, or how the body is framed.
    """
    if refused := sorted(name for name in headers or {} if name.lower() in _OURS):
        raise ConfigError(
            f"headers cannot set {', '.join(refused)}", fix="leave it out; the credentials sign every request"
        )
    return dict(headers or {})


def _as_text(parameters: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else _json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        for name, value in parameters.items()
        if value is not None
    }


def _as_json(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: parameters[name] if isinstance(parameters[name], int | float) else text
        for name, text in _as_text(parameters).items()
    }

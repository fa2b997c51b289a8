"""What a server is started with: from its command line and, for what is shared or secret, from the environment."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from mixpanel_data import ConfigError

# Shorter ones can be guessed; the same bound as the library's that seals with them.
_SHORTEST_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class ModelEndpoint:
    """An OpenAI-compatible model.

    base_url: what /chat/completions is appended to
    model: as the endpoint calls it
    api_key: None where it wants none
    """

    base_url: str
    model: str
    api_key: SecretStr | None = None


def model_endpoint() -> ModelEndpoint | None:
    """The model of MP_LLM_BASE_URL, MP_LLM_MODEL and MP_LLM_API_KEY; None when the first two are unset.

    Raises:
        ConfigError: one of the first two is missing, or the URL is none.
    """
    base_url, model, key = (_said(name) for name in ("MP_LLM_BASE_URL", "MP_LLM_MODEL", "MP_LLM_API_KEY"))
    if not base_url and not model:
        return None
    if not base_url or not model:
        missing, given = ("MP_LLM_MODEL", "MP_LLM_BASE_URL") if base_url else ("MP_LLM_BASE_URL", "MP_LLM_MODEL")
        raise ConfigError(f"{given} is set, but {missing} is not", fix=f"set {missing} too, or unset {given}")
    parts = urlsplit(base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query or parts.fragment:
        # the text itself may hold a password
        raise ConfigError(
            "MP_LLM_BASE_URL is not a base URL", fix="set it to something like http://127.0.0.1:8082/v1, without a user"
        )
    return ModelEndpoint(base_url.rstrip("/"), model, SecretStr(key) if key else None)


def state_key() -> SecretStr | None:
    """The key of MP_STATE_KEY; None when unset.

    Raises:
        ConfigError: it is too short to be a secret.
    """
    key = _said("MP_STATE_KEY")
    if key and len(key.encode()) < _SHORTEST_KEY_BYTES:
        raise ConfigError(
            f"MP_STATE_KEY is shorter than {_SHORTEST_KEY_BYTES} bytes",
            fix='set it to the output of: python -c "import secrets; print(secrets.token_hex(32))"',
        )
    return SecretStr(key) if key else None


def _said(variable: str) -> str:
    return os.environ.get(variable, "").strip()


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server is started with.

    account: name of a configured account; None: the environment, then the default account
    db: file of the local store; None: the library's own place for the project
    stateful: over streamable HTTP, whether a session is kept for each client of the handshake era
    session_idle_s: how long such a session is kept when nobody uses it
    model: where findings are worded when the client offers no model of its own; None: nowhere
    state_key: seals what travels with a question, the same for all servers that may get the answer; None: one of this
        process alone
    """

    account: str | None = None
    db: Path | None = None
    stateful: bool = False
    session_idle_s: float = 1800.0
    model: ModelEndpoint | None = field(default_factory=model_endpoint)
    state_key: SecretStr | None = field(default_factory=state_key)

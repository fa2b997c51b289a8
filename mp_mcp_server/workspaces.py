"""The Workspace of a server, opened when the first tool asks for it."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from mixpanel_data import ConfigError, clock
from mixpanel_data.credentials import resolve
from mp_mcp_server.settings import Settings

if TYPE_CHECKING:  # a server that nobody has called loads neither
    from mixpanel_data import Credentials, Workspace


class Needs(Protocol):
    """What is served with a Workspace: a tool or a resource."""

    @property
    def needs_credentials(self) -> bool:
        """Whether it asks Mixpanel, and not the local store alone."""


# A workspace remembers the names of events and properties as long as it lives, and a server's lives for weeks.
_NAMES_LAST_S = 300.0


class Workspaces:
    """The one Workspace of a server, opened when the first tool asks for it, so that it starts without credentials.

    Args:
        settings: which account and which store
        api_headers: sent with every call to Mixpanel
    """

    def __init__(self, settings: Settings, api_headers: Mapping[str, str]) -> None:
        self._settings, self._api_headers = settings, api_headers
        self._lock = threading.Lock()
        self._with_credentials: Workspace | None = None
        self._names_since = 0.0
        self._store_alone: Workspace | None = None
        self._in_use: Credentials | None = None

    def serving(self, spec: Needs) -> "Workspace":
        """The Workspace for a tool or a resource; one that asks no Mixpanel is content with the store.

        Raises:
            ConfigError: credentials are missing, and the tool needs them or --db does not say where the store is.
        """
        with self._lock:
            try:
                return self._open()
            except ConfigError:
                if spec.needs_credentials or self._settings.db is None:
                    raise
                return self._open_store(self._settings.db)

    def has_credentials(self) -> bool:
        """Whether credentials are set; whether Mixpanel accepts them is not asked."""
        return self._credentials() is not None

    def asking(self) -> "Workspace":
        """The Workspace with credentials.

        Raises:
            ConfigError: they are missing or wrong.
        """
        with self._lock:
            return self._open()

    def wait_s(self, spends: Literal["query", "jql", "export"]) -> float:
        """How long a question of that kind would have to wait for the project's budget; none without credentials."""
        try:
            return self.asking().api.budget.wait_s(spends)
        except ConfigError:
            return 0.0

    def mask(self, text: str) -> str:
        """The text without the secrets."""
        model = self._settings.model
        if model is not None and model.api_key is not None:
            text = text.replace(model.api_key.get_secret_value(), "**********")
        credentials = self._credentials()
        return credentials.mask(text) if credentials else text

    def close(self) -> None:
        """Let go of files and sockets; the next use opens anew."""
        with self._lock:
            opened = [self._with_credentials, self._store_alone]
            self._with_credentials = self._store_alone = self._in_use = None
        for workspace in opened:
            if workspace is not None:
                workspace.close()

    def _credentials(self) -> "Credentials | None":
        # those that are in use, even when the file says something else by now
        if self._in_use is not None:
            return self._in_use
        try:
            return resolve(self._settings.account)
        except ConfigError:
            return None

    def _open(self) -> "Workspace":
        # not kept when it fails: credentials may be set up while the server runs
        if self._with_credentials is None:
            from mixpanel_data import Workspace

            self._in_use = resolve(self._settings.account)
            self._with_credentials = Workspace(
                account=self._settings.account, path=self._settings.db, api_headers=self._api_headers
            )
            self._names_since = clock.monotonic()
        elif clock.monotonic() - self._names_since > _NAMES_LAST_S:
            self._with_credentials.clear_discovery_cache()
            self._names_since = clock.monotonic()
        return self._with_credentials

    def _open_store(self, db: Path) -> "Workspace":
        if self._store_alone is None:
            from mixpanel_data import Workspace

            self._store_alone = Workspace.open(db)
        return self._store_alone

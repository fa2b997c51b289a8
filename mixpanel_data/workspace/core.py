"""What every family of calls stands on: whose project, which file, and who lets go of them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

from mixpanel_data import credentials as _credentials
from mixpanel_data.api_client import MixpanelAPIClient
from mixpanel_data.errors import ConfigError, DatabaseNotFoundError

if TYPE_CHECKING:
    from mixpanel_data.local.store import Connection, Held


class Core:
    """Credentials, the client and the path of a workspace; neither is opened before it is needed."""

    _account: str | None

    def __init__(
        self,
        account: str | None = None,
        project_id: str | None = None,
        region: str | None = None,
        path: str | Path | None = None,
        read_only: bool = False,
        *,
        api_headers: Mapping[str, str] | None = None,
        api_client: MixpanelAPIClient | None = None,
    ) -> None:
        credentials = None if api_client else _credentials.resolve(account, project_id=project_id, region=region)
        if credentials is not None:
            api_client = MixpanelAPIClient(credentials, default_headers=api_headers)
        project = project_id if api_client is None else api_client.project_id
        self._start(api_client, Path(path) if path else _credentials.default_database(str(project)), read_only)
        self._account = credentials.account if credentials else None

    @classmethod
    def open(cls, path: str | Path, *, read_only: bool = True) -> Self:
        """A workspace on an existing database, without credentials; calls to Mixpanel raise ConfigError.

        Raises:
            DatabaseNotFoundError: there is no such file; it is a FileNotFoundError too.
        """
        if not Path(path).exists():
            raise DatabaseNotFoundError(path)
        workspace = cls.__new__(cls)
        workspace._start(None, Path(path), read_only)
        workspace._account = None
        return workspace

    def _start(self, client: MixpanelAPIClient | None, path: Path, read_only: bool) -> None:
        self._client, self._path, self._read_only = client, path.expanduser(), read_only
        self._lock = threading.Lock()
        self._held: Held | None = None

    def __repr__(self) -> str:
        project = self._client.project_id if self._client else None
        return f"Workspace(project_id={project!r}, path={str(self._path)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything; closing twice is fine."""
        with self._lock:
            held, self._held = self._held, None
        if held is not None:
            held.close()
        if self._client is not None:
            self._client.close()

    @property
    def api(self) -> MixpanelAPIClient:
        """The HTTP client, for what has no method here."""
        if self._client is None:
            raise ConfigError(
                "this workspace has no Mixpanel credentials",
                fix="set MP_USERNAME, MP_SECRET, MP_PROJECT_ID and MP_REGION, and make it by Workspace()",
            )
        return self._client

    @property
    def db_path(self) -> Path:
        """The database file, whether or not it exists yet."""
        return self._path

    @property
    def connection(self) -> Connection:
        """The user's own DuckDB connection, the same one until `close()`; other processes are kept out meanwhile."""
        from mixpanel_data.local.store import Held

        with self._lock:
            if self._held is None:
                self._held = Held(self._path, "read" if self._read_only else "write")
            return self._held.connection

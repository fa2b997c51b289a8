"""What every family of calls stands on: whose project, which store, and who lets go of them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import ValidationError

from mixpanel_data import credentials as _credentials
from mixpanel_data.api_client import MixpanelAPIClient
from mixpanel_data.credentials import Credentials
from mixpanel_data.errors import ConfigError, DatabaseNotFoundError

if TYPE_CHECKING:
    from mixpanel_data.auth import ConfigManager
    from mixpanel_data.local.engine import StorageEngine
    from mixpanel_data.local.place import Place
    from mixpanel_data.local.store import Connection
    from mixpanel_data.local.workdir import Temporary


class Core:
    """Credentials, the client and the place of a workspace; nothing is opened before it is needed."""

    _account: str | None
    _storage: StorageEngine | None

    def __init__(
        self,
        account: str | None = None,
        project_id: str | None = None,
        region: str | None = None,
        path: str | Path | None = None,
        read_only: bool = False,
        *,
        api_headers: Mapping[str, str] | None = None,
        _config_manager: ConfigManager | None = None,
        _api_client: MixpanelAPIClient | None = None,
        _storage: StorageEngine | None = None,
    ) -> None:
        client, credentials = _api_client, None
        if client is None:
            if _config_manager is None:
                credentials = _credentials.resolve(account, project_id=project_id, region=region)
            else:
                credentials = _elsewhere(_config_manager.resolve_credentials(account), project_id, region)
            client = MixpanelAPIClient(credentials, default_headers=api_headers)
        place = Path(path).expanduser() if path else _credentials.default_database(client.project_id)
        self._start(client, place, read_only)
        self._account = credentials.account if credentials else None
        if _storage is not None:
            self._place, self._read_only, self._storage = _storage.place, _storage.read_only, _storage

    @classmethod
    def ephemeral(cls, account: str | None = None, project_id: str | None = None, region: str | None = None) -> Self:
        """A workspace whose database file is deleted with it: by `close`, at the end of a `with`, or of the program.

        What a program that was killed leaves behind, the next such workspace removes.
        """
        from mixpanel_data.local.workdir import Temporary

        workspace = cls(account, project_id, region)
        workspace._temporary = Temporary()
        workspace._place = workspace._temporary.path / "ephemeral.db"
        return workspace

    @classmethod
    def memory(cls, account: str | None = None, project_id: str | None = None, region: str | None = None) -> Self:
        """A workspace whose tables are in the memory of this process, until `close` or the end of a `with`."""
        from mixpanel_data.local.place import Memory

        workspace = cls(account, project_id, region)
        workspace._place = Memory()
        return workspace

    @classmethod
    def open(cls, path: str | Path, *, read_only: bool = True) -> Self:
        """A workspace on an existing database, without credentials; calls to Mixpanel raise ConfigError.

        Raises:
            DatabaseNotFoundError: there is no such file; it is a FileNotFoundError too.
        """
        place = Path(path).expanduser()
        if not place.exists():
            raise DatabaseNotFoundError(path)
        workspace = cls.__new__(cls)
        workspace._start(None, place, read_only)
        workspace._account = None
        return workspace

    def _start(self, client: MixpanelAPIClient | None, place: Place, read_only: bool) -> None:
        self._client, self._place, self._read_only = client, place, read_only
        self._lock = threading.Lock()
        self._storage = None
        self._temporary: Temporary | None = None

    def __repr__(self) -> str:
        project = self._client.project_id if self._client else None
        return f"Workspace(project_id={project!r}, path={str(self._place)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything; closing twice is fine."""
        with self._lock:
            storage, self._storage = self._storage, None
        if storage is not None:
            storage.close()
        if not isinstance(self._place, Path):
            self._place.close()
        if self._temporary is not None:
            self._temporary.close()
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
    def db_path(self) -> Path | None:
        """The database file, whether or not it exists yet; None for one in memory."""
        return self._place if isinstance(self._place, Path) else None

    @property
    def storage(self) -> StorageEngine:
        """The tables, for what has no method here."""
        from mixpanel_data.local.engine import StorageEngine

        with self._lock:
            if self._storage is None:
                self._storage = StorageEngine.at(self._place, read_only=self._read_only)
            return self._storage

    @property
    def connection(self) -> Connection:
        """The user's own DuckDB connection, the same one until `close()`; other processes are kept out meanwhile."""
        return self.storage.connection


def _elsewhere(found: Credentials, project_id: str | None, region: str | None) -> Credentials:
    """The same account in that project and region."""
    given = {name: value for name, value in (("project_id", project_id), ("region", region)) if value is not None}
    try:
        return Credentials.model_validate({**found.model_dump(), **given})
    except ValidationError as error:
        wrong = ", ".join(sorted({str(problem["loc"][0]) for problem in error.errors(include_input=False)}))
    raise ConfigError(f"wrong: {wrong}", fix="; ".join(_credentials.RIGHT[name] for name in given))

"""Discovery: what exists in the project and in the local store."""

from typing import TYPE_CHECKING

from typing_extensions import TypedDict

from mp_mcp_server.tools.local import TableEntry, list_tables

if TYPE_CHECKING:  # the catalogue is read as data, without what a Workspace needs
    from mixpanel_data import Workspace


class WorkspaceSummary(TypedDict):
    """Which project is asked, and what is stored locally; null project and region: no credentials are set."""

    project_id: str | None
    region: str | None
    tables: list[TableEntry]


def list_events(workspace: "Workspace") -> list[str]:
    """List the project's event names. Call this first: every other tool wants names spelled exactly as here.

    Returns:
        All names that ever occurred, in alphabetical order; at most 5000, the most frequent.

    Raises:
        AuthenticationError, RateLimitError, ConfigError: the project cannot be asked.

    Source: reference/mixpanel-api.md, section 7.1
    """
    # a workspace remembers the names as long as it lives, and a server's lives for weeks
    workspace.clear_discovery_cache()
    return workspace.events()


def workspace_info(workspace: "Workspace") -> WorkspaceSummary:
    """Show which Mixpanel project is connected and which tables are already stored locally.

    Call this to see where you are: before fetching again what is there, or when credentials are in doubt.
    It asks the local store only and costs no Mixpanel query.

    Returns:
        project_id and region (null without credentials), and the local tables as list_tables gives them.
    """
    info = workspace.info()
    return {"project_id": info.project_id, "region": info.region, "tables": list_tables(workspace)}

"""The façade: one object for a project and its local database. It delegates and decides nothing.

A family of calls is a module here: `discovery`, `live`, `scripted`, `fetching`, `profiles`, `tables`, all on `core`.
"""

from __future__ import annotations

from mixpanel_data.workspace.discovery import DiscoveryCalls
from mixpanel_data.workspace.fetching import FetchCalls
from mixpanel_data.workspace.live import LiveCalls
from mixpanel_data.workspace.profiles import ProfileCalls
from mixpanel_data.workspace.scripted import ScriptCalls
from mixpanel_data.workspace.tables import TableCalls, WorkspaceInfo

__all__ = ["Workspace", "WorkspaceInfo"]


class Workspace(DiscoveryCalls, LiveCalls, ScriptCalls, FetchCalls, ProfileCalls, TableCalls):
    """A Mixpanel project and the local database beside it.

    Args:
        account: a name in the configuration file; None takes the environment, else the file's default
        project_id, region: in place of those of the credentials
        path: the database file; None takes ~/.mp/data/<project_id>.db
        read_only: never change the file
        api_headers: sent with every request to Mixpanel

    Neither the database nor a connection to Mixpanel is opened before it is needed, and the database is open only for
    the length of a call. A workspace may be used from several threads.

    Raises:
        ConfigError: no credentials are configured, or they are wrong. `Workspace.open` needs none.
    """

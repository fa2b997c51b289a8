"""Databases that workspaces of tests have."""

from pathlib import Path

from mixpanel_data import Workspace


def file_of(workspace: Workspace) -> Path:
    """The workspace's database file; a test that asks has one that is a file."""
    assert workspace.db_path is not None
    return workspace.db_path

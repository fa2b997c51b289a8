"""What a command works with: the options before it, its output, and a workspace that is opened when it is needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from mixpanel_data.cli import output
from mixpanel_data.cli.output import Output

if TYPE_CHECKING:
    from mixpanel_data.workspace import Workspace


@dataclass(slots=True)
class Globals:
    """The options before the command.

    account: a name in the configuration file, None takes what applies
    quiet: nothing on stderr but errors
    verbose: everything that the library logs, and all of an error
    """

    account: str | None = None
    quiet: bool = False
    verbose: bool = False


@dataclass
class Session:
    """One run of one command.

    exit_code: what `mp` ends with if nothing is raised
    """

    options: Globals
    output: Output
    exit_code: int = field(default=0, init=False)

    @cached_property
    def workspace(self) -> Workspace:
        """The project and its database, which stays as it is."""
        return self._opened(read_only=True)

    @cached_property
    def writable(self) -> Workspace:
        """The project and its database, for a command that changes it."""
        return self._opened(read_only=False)

    def notice(self, text: str) -> None:
        """Say something about what goes on, unless that is unwanted."""
        if not self.options.quiet:
            output.notice(text)

    def close(self) -> None:
        """Let go of the workspaces that were opened."""
        for name in ("workspace", "writable"):
            if name in self.__dict__:
                self.__dict__[name].close()

    def _opened(self, *, read_only: bool) -> Workspace:
        from mixpanel_data.workspace import Workspace

        return Workspace(account=self.options.account, read_only=read_only)

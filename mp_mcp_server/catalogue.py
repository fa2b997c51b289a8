"""TOOLS: every tool of the server, one row each. README tables, the server and the tests are views of this list.

Importing it needs neither fastmcp nor a database nor a network library, so that others can read it as data.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mp_mcp_server.docstrings import take_apart
from mp_mcp_server.tools import discovery, fetch, live, local

Category = Literal["discovery", "live", "fetch", "local"]


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """One tool.

    run: takes a Workspace first, then what the model may set; its docstring is what the model reads
    category: which family of questions it answers
    read_only: changes nothing, neither in Mixpanel nor in the local store
    destructive: may take away something that was there
    idempotent: a second call with the same arguments changes nothing more
    endpoints: the Mixpanel operations it uses; with none it needs no credentials
    example: arguments that work, as a model would send them
    """

    run: Callable[..., Any]
    category: Category
    read_only: bool
    destructive: bool = False
    idempotent: bool = True
    endpoints: tuple[str, ...] = ()
    example: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The tool's name: that of its function."""
        return self.run.__name__

    @property
    def purpose(self) -> str:
        """When to use it: the first line of its docstring."""
        return take_apart(self.run).opening.splitlines()[0]

    @property
    def description(self) -> str:
        """What a model chooses by: the docstring's opening, then what is returned."""
        doc = take_apart(self.run)
        return f"{doc.opening}\n\nReturns: {doc.returns}" if doc.returns else doc.opening

    @property
    def parameter_texts(self) -> dict[str, str]:
        """One text for each parameter that the model may set.

        Raises:
            KeyError: the docstring is silent about one.
        """
        arguments = take_apart(self.run).arguments
        return {parameter.name: arguments[parameter.name] for parameter in self.parameters}

    @property
    def needs_credentials(self) -> bool:
        """Whether it asks Mixpanel, and not the local store alone."""
        return bool(self.endpoints)

    @property
    def parameters(self) -> tuple[inspect.Parameter, ...]:
        """What the model may set, in order: the function's parameters without the Workspace."""
        return tuple(inspect.signature(self.run).parameters.values())[1:]


_MONTH = {"from_date": "2025-06-01", "to_date": "2025-06-30"}

TOOLS: tuple[ToolSpec, ...] = (
    ToolSpec(discovery.list_events, "discovery", read_only=True, endpoints=("event_names",)),
    ToolSpec(discovery.workspace_info, "discovery", read_only=True),
    ToolSpec(
        live.segmentation,
        "live",
        read_only=True,
        endpoints=("segmentation",),
        example={"event": "Sign Up", **_MONTH, "segment_property": "$browser"},
    ),
    ToolSpec(
        live.event_counts,
        "live",
        read_only=True,
        endpoints=("event_counts",),
        example={"events": ["Sign Up", "Purchase"], **_MONTH, "unit": "week", "type": "unique"},
    ),
    ToolSpec(
        fetch.fetch_events,
        "fetch",
        read_only=False,
        endpoints=("export",),
        example={**_MONTH, "table": "june"},
    ),
    ToolSpec(local.list_tables, "local", read_only=True),
    ToolSpec(
        local.sql,
        "local",
        read_only=True,
        example={"query": "select event_name, count(*) as n from events group by 1 order by n desc", "limit": 20},
    ),
)

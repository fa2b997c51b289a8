"""TOOLS: every tool of the server, one row each. README tables, the server and the tests are views of this list.

Importing it needs neither fastmcp nor a database nor a network library, so that others can read it as data.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mp_mcp_server.docstrings import take_apart
from mp_mcp_server.tools import composed, discovery, fetch, intelligent, interactive, live, local

Category = Literal["discovery", "live", "fetch", "local", "intelligent", "composed", "interactive"]


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
# What is asked beside, when an answer is empty: whether the names exist at all.
_NAMES = ("event_names", "property_names")

TOOLS: tuple[ToolSpec, ...] = (
    ToolSpec(discovery.list_events, "discovery", read_only=True, endpoints=("event_names",)),
    ToolSpec(
        discovery.list_properties,
        "discovery",
        read_only=True,
        endpoints=("property_names", "event_names", "lexicon_schemas_of_kind", "export"),
        example={"event": "Sign Up"},
    ),
    ToolSpec(
        discovery.list_property_values,
        "discovery",
        read_only=True,
        endpoints=("property_values", *_NAMES),
        example={"event": "Sign Up", "property_name": "$browser", "limit": 20},
    ),
    ToolSpec(discovery.list_funnels, "discovery", read_only=True, endpoints=("funnels",)),
    ToolSpec(discovery.list_cohorts, "discovery", read_only=True, endpoints=("cohorts",)),
    ToolSpec(
        discovery.list_bookmarks,
        "discovery",
        read_only=True,
        endpoints=("bookmarks",),
        example={"bookmark_type": "insights"},
    ),
    ToolSpec(
        discovery.top_events,
        "discovery",
        read_only=True,
        endpoints=("top_events",),
        example={"limit": 5, "type": "unique"},
    ),
    ToolSpec(discovery.workspace_info, "discovery", read_only=True),
    ToolSpec(
        live.segmentation,
        "live",
        read_only=True,
        endpoints=("segmentation", *_NAMES),
        example={"event": "Sign Up", **_MONTH, "segment_property": "$browser"},
    ),
    ToolSpec(
        live.funnel,
        "live",
        read_only=True,
        endpoints=("funnel",),
        example={"funnel_id": 8801, **_MONTH, "unit": "month"},
    ),
    ToolSpec(
        live.retention,
        "live",
        read_only=True,
        endpoints=("retention", "event_names"),
        example={"born_event": "Sign Up", **_MONTH, "return_event": "App Open", "unit": "week"},
    ),
    ToolSpec(
        live.jql,
        "live",
        read_only=True,
        endpoints=("jql",),
        example={
            "script": "function main() { return Events({from_date: params.from, to_date: params.to})"
            '.groupBy(["name"], mixpanel.reducer.count()); }',
            "params": {"from": "2025-06-01", "to": "2025-06-30"},
        },
    ),
    ToolSpec(
        live.event_counts,
        "live",
        read_only=True,
        endpoints=("event_counts", "event_names"),
        example={"events": ["Sign Up", "Purchase"], **_MONTH, "unit": "week", "type": "unique"},
    ),
    ToolSpec(
        live.property_counts,
        "live",
        read_only=True,
        endpoints=("property_counts", *_NAMES),
        example={"event": "Purchase", "property_name": "$os", **_MONTH, "unit": "month", "limit": 10},
    ),
    ToolSpec(
        live.activity_feed,
        "live",
        read_only=True,
        endpoints=("activity_feed",),
        example={"distinct_id": "user-000001", **_MONTH},
    ),
    ToolSpec(
        live.frequency,
        "live",
        read_only=True,
        endpoints=("frequency", "event_names"),
        example={**_MONTH, "event": "App Open", "unit": "week", "addiction_unit": "day"},
    ),
    ToolSpec(
        fetch.fetch_events,
        "fetch",
        read_only=False,
        endpoints=("export", "event_names", "event_counts"),
        example={**_MONTH, "table": "june"},
    ),
    ToolSpec(
        fetch.fetch_profiles,
        "fetch",
        read_only=False,
        endpoints=("profiles",),
        example={"table": "pros", "where": 'properties["plan"] == "pro"'},
    ),
    ToolSpec(
        fetch.stream_events,
        "fetch",
        read_only=True,
        endpoints=("export", "event_names"),
        example={**_MONTH, "events": ["Purchase"], "limit": 20},
    ),
    ToolSpec(
        fetch.stream_profiles,
        "fetch",
        read_only=True,
        endpoints=("profiles",),
        example={"distinct_id": "user-000001"},
    ),
    ToolSpec(
        local.sql,
        "local",
        read_only=True,
        example={"query": "select event_name, count(*) as n from events group by 1 order by n desc", "limit": 20},
    ),
    ToolSpec(local.sql_scalar, "local", read_only=True, example={"query": "select count(*) from events"}),
    ToolSpec(local.list_tables, "local", read_only=True),
    ToolSpec(local.table_schema, "local", read_only=True, example={"table": "events"}),
    ToolSpec(local.sample, "local", read_only=True, example={"table": "events", "limit": 5}),
    ToolSpec(local.summarize, "local", read_only=True, example={"table": "events"}),
    ToolSpec(local.event_breakdown, "local", read_only=True, example={"table": "events"}),
    ToolSpec(local.property_keys, "local", read_only=True, example={"table": "events", "event": "Purchase"}),
    ToolSpec(
        local.column_stats,
        "local",
        read_only=True,
        example={"table": "events", "column": """(properties->>'$."amount"')::double"""},
    ),
    ToolSpec(local.drop_table, "local", read_only=False, destructive=True, example={"table": "june"}),
    ToolSpec(local.drop_all_tables, "local", read_only=False, destructive=True),
    ToolSpec(
        intelligent.diagnose_metric_drop,
        "intelligent",
        read_only=True,
        endpoints=("event_names", "property_names", "segmentation", "jql"),
        example={"event": "Search", "date": "2025-06-16"},
    ),
    ToolSpec(
        intelligent.ask_mixpanel,
        "intelligent",
        read_only=True,
        endpoints=(
            *_NAMES,
            "funnels",
            "segmentation",
            "retention",
            "funnel",
            "property_counts",
            "event_counts",
            "activity_feed",
        ),
        example={"question": "How many users did Purchase last week?"},
    ),
    ToolSpec(
        intelligent.funnel_optimization_report,
        "intelligent",
        read_only=True,
        endpoints=("funnels", "funnel", "property_names", "jql"),
        example={"funnel_id": 8801, **_MONTH},
    ),
    ToolSpec(
        composed.cohort_comparison,
        "composed",
        read_only=True,
        endpoints=("event_names", "top_events", "event_counts", "retention", "jql"),
        example={
            "cohort_a_filter": 'properties["plan"] == "pro"',
            "cohort_b_filter": 'properties["plan"] == "free"',
            "from_date": "2025-05-01",
            "to_date": "2025-06-30",
        },
    ),
    ToolSpec(
        composed.product_health_dashboard,
        "composed",
        read_only=True,
        endpoints=(*_NAMES, "event_counts", "segmentation", "segmentation_sum", "retention"),
        example={"acquisition_event": "Sign Up", "activation_event": "Add to Cart", "revenue_event": "Purchase"},
    ),
    ToolSpec(
        composed.gqm_investigation,
        "composed",
        read_only=True,
        endpoints=(
            *_NAMES,
            "top_events",
            "funnels",
            "event_counts",
            "segmentation",
            "segmentation_sum",
            "retention",
            "frequency",
            "funnel",
            "jql",
        ),
        example={"goal": "improve retention"},
    ),
    ToolSpec(
        interactive.guided_analysis,
        "interactive",
        read_only=True,
        endpoints=(
            *_NAMES,
            "top_events",
            "funnels",
            "event_counts",
            "segmentation",
            "segmentation_sum",
            "retention",
            "frequency",
            "funnel",
            "jql",
        ),
        example={"focus_area": "conversion", "time_period": "last_30_days"},
    ),
    ToolSpec(
        interactive.safe_large_fetch,
        "interactive",
        read_only=False,
        endpoints=("event_names", "event_counts", "export"),
        example={**_MONTH, "table": "june"},
    ),
)

"""mixpanel-headless: each public method of its Workspace called once, and how it went."""

import inspect
import json
import sys
import typing
from collections.abc import Iterator
from typing import Any

# In an environment of its own, which the type checker does not look into.
from mixpanel_headless import (  # type: ignore[import-not-found]
    BulkCreateSchemasParams,
    CreateAnnotationParams,
    CreateAnnotationTagParams,
    MixpanelHeadlessError,
    SchemaEntry,
    UpdateAnnotationParams,
    Workspace,
)
from pydantic import BaseModel

DAYS = {"from_date": "2025-06-10", "to_date": "2025-06-29"}
AMOUNT = {"event": "Purchase", "on": 'properties["amount"]', **DAYS}
SCHEMA = {"description": "x", "properties": {"a": {"type": "string"}}}
# It must not end the session that the others use.
LAST = "close"


def arguments(asked: Any) -> dict[str, dict[str, Any]]:
    """What methods are given for which no argument would do by its name alone."""
    report, flow = (
        next(each.id for each in asked.list_bookmarks() if each.type == kind) for kind in ("insights", "flows")
    )
    annotation = asked.create_annotation(CreateAnnotationParams(date="2025-06-01 12:00:00", description="v2")).id
    entry = SchemaEntry(entity_type="event", name="Purchase", schema_definition=SCHEMA)
    built = {
        **dict.fromkeys(("create_schemas_bulk", "update_schemas_bulk"), BulkCreateSchemasParams(entries=[entry])),
        "run_params": asked.build_params("Purchase", **DAYS),
        "run_funnel_params": asked.build_funnel_params(["Search", "Purchase"], **DAYS),
        "run_retention_params": asked.build_retention_params("Sign Up", "Search", **DAYS),
        "run_flow_params": asked.build_flow_params("Purchase", **DAYS),
        "run_user_params": asked.build_user_params(),
    }
    return {
        **{name: {"params": params} for name, params in built.items()},
        **{key: {"events": "Purchase", **DAYS} for key in ("query", "build_params")},
        **{key: {"steps": ["Search", "Purchase"], **DAYS} for key in ("query_funnel", "build_funnel_params")},
        **{
            key: {"born_event": "Sign Up", "return_event": "Search", **DAYS}
            for key in ("query_retention", "build_retention_params")
        },
        **{key: {"event": "Purchase", **DAYS} for key in ("query_flow", "build_flow_params")},
        "query_saved_flows": {"bookmark_id": flow},
        **{key: {"bookmark_id": report} for key in ("query_saved_report", "get_bookmark", "saved_report_link")},
        "activity_feed": {"distinct_ids": ["u1"], **DAYS},
        "funnel": {"funnel_id": asked.funnels()[0].funnel_id, **DAYS},
        "get_cohort": {"cohort_id": asked.cohorts()[0].id},
        "property_values": {"property_name": "$browser", "event": "Purchase"},
        "subproperties": {"property_name": "shipping", "event": "Purchase"},
        "lexicon_schema": {"entity_type": "event", "name": "Purchase"},
        "create_schema": {"entity_type": "event", "entity_name": "New", "schema_json": SCHEMA},
        "update_schema": {"entity_type": "event", "entity_name": "Purchase", "schema_json": SCHEMA},
        "delete_schemas": {"entity_type": "event", "entity_name": "Search"},
        "segmentation_sum": AMOUNT,
        "segmentation_average": AMOUNT,
        "segmentation_numeric": AMOUNT,
        "create_annotation": {"params": CreateAnnotationParams(date="2025-06-01 12:00:00", description="v3")},
        "create_annotation_tag": {"params": CreateAnnotationTagParams(name="release")},
        "update_annotation": {"annotation_id": annotation, "params": UpdateAnnotationParams(description="v2.1")},
        "get_annotation": {"annotation_id": annotation},
        "delete_annotation": {
            "annotation_id": asked.create_annotation(
                CreateAnnotationParams(date="2025-06-01 12:00:00", description="v2")
            ).id
        },
    }  # fmt: skip


def plausible(name: str, hint: Any) -> Any:
    """An argument by its name and type."""
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return hint.model_construct()
    by_name = {"event": "Purchase", "events": ["Purchase"], "born_event": "Sign Up", "return_event": "Search", **DAYS}
    if name in by_name:
        return by_name[name]
    if typing.get_origin(hint) is list:
        (of,) = typing.get_args(hint) or (str,)
        return [plausible("", of)]
    return 1 if hint is int else "$browser" if name.startswith("property") else "event" if "type" in name else "1"


def methods() -> Iterator[tuple[str, Any]]:
    """Every public one, that which ends the session last."""
    named = [(name, each) for name, each in inspect.getmembers(Workspace, callable) if not name.startswith("_")]
    yield from sorted(named, key=lambda pair: pair[0] == LAST)


def outcome(asked: Any, name: str, method: Any, given: dict[str, dict[str, Any]]) -> str:
    """`works`, or what became of it."""
    if name not in given:
        hints = typing.get_type_hints(method)
        needed = [
            each.name
            for each in inspect.signature(method).parameters.values()
            if each.default is each.empty and each.name != "self" and each.kind is not each.VAR_KEYWORD
        ]
        given = {name: {each: plausible(each, hints.get(each)) for each in needed}}
    try:
        result = getattr(asked, name)(**given[name])
        if inspect.isgenerator(result):
            list(result)
    except MixpanelHeadlessError as error:
        return f"{getattr(error, 'status_code', None) or type(error).__name__}"
    except (ValueError, AttributeError) as error:
        return type(error).__name__
    return "works"


with Workspace() as workspace:
    known = arguments(workspace)
    sys.stdout.write(json.dumps({name: outcome(workspace, name, each, known) for name, each in methods()}))

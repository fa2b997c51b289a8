"""What people wrote down about events and profiles in Mixpanel's Lexicon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mixpanel_data import arguments, choices
from mixpanel_data.answers import Answer
from mixpanel_data.endpoints import ENDPOINTS
from mixpanel_data.errors import QueryError
from mixpanel_data.results import Result

if TYPE_CHECKING:
    from mixpanel_data.api_client import MixpanelAPIClient

_MANAGED = "com.mixpanel"


class _Sparse(Result):
    """A result whose JSON leaves out what is not set."""

    def to_dict(self) -> dict[str, Any]:
        """The fields, JSON-ready; those that are None are left out."""
        return {name: value for name, value in super().to_dict().items() if value is not None}


@dataclass(frozen=True)
class LexiconMetadata(Result):
    """What Lexicon keeps beside a description; None and empty lists where it says nothing."""

    source: str | None
    display_name: str | None
    tags: list[str]
    hidden: bool
    dropped: bool
    contacts: list[str]
    team_contacts: list[str]


@dataclass(frozen=True)
class LexiconProperty(_Sparse):
    """A property; `type` is JSON Schema's word for it, empty where the entry has none."""

    type: str
    description: str | None = None
    metadata: LexiconMetadata | None = None


@dataclass(frozen=True)
class LexiconDefinition(_Sparse):
    """What an entry says: its properties by name, and about itself."""

    properties: dict[str, LexiconProperty]
    description: str | None = None
    metadata: LexiconMetadata | None = None


@dataclass(frozen=True)
class LexiconSchema(Result):
    """An entry: of an event, or of profiles, where `$user` names those of users."""

    entity_type: str
    name: str
    schema_json: LexiconDefinition


def schemas(client: MixpanelAPIClient, entity_type: str | None = None) -> list[LexiconSchema]:
    """Source: reference/mixpanel-api.md, section 9.4"""
    if entity_type is None:
        answer = client.call(ENDPOINTS["lexicon_schemas"], {})
    else:
        kind = arguments.one_of("entity_type", entity_type, choices.ENTITY_TYPES)
        answer = client.call(ENDPOINTS["lexicon_schemas_of_kind"], {}, path_arguments={"entity_type": kind})
    return sorted(
        (_entry(row) for row in Answer("schemas", answer).at("results").elements()),
        key=lambda entry: (entry.entity_type, entry.name),
    )


def schema(client: MixpanelAPIClient, entity_type: str, name: str) -> LexiconSchema:
    """Source: reference/mixpanel-api.md, sections 9.4 and 15"""
    kind = arguments.one_of("entity_type", entity_type, choices.ENTITY_TYPES)
    arguments.name("name", name)
    answer = Answer(
        "schemas",
        client.call(ENDPOINTS["lexicon_schemas_of_kind"], {"entity_name": name}, path_arguments={"entity_type": kind}),
    )
    found = answer.at("results") if answer.has("results") else answer
    if isinstance(found.value, list):
        named = [entry for entry in map(_entry, found.elements()) if (entry.entity_type, entry.name) == (kind, name)]
        if not named:
            raise QueryError(
                f"the Lexicon has no {kind} {name!r}", status_code=404, fix="look at the list of schemas: mp inspect"
            )
        return named[0]
    # The one schema comes alone or as the entry that holds it.
    return _entry(found) if found.has("schemaJson") else LexiconSchema(kind, name, _definition(found))


def _entry(row: Answer) -> LexiconSchema:
    return LexiconSchema(row.at("entityType").text(), row.at("name").text(), _definition(row.at("schemaJson")))


def _definition(schema: Answer) -> LexiconDefinition:
    properties = schema.at("properties")
    return LexiconDefinition(
        properties={name: _property(found) for name, found in properties.members()} if properties.is_there else {},
        description=schema.at("description").text("") or None,
        metadata=_metadata(schema),
    )


def _property(found: Answer) -> LexiconProperty:
    return LexiconProperty(
        type=found.at("type").text(""),
        description=found.at("description").text("") or None,
        metadata=_metadata(found),
    )


def _metadata(owner: Answer) -> LexiconMetadata | None:
    outer = owner.at("metadata")
    if not outer.is_there or not outer.at(_MANAGED).is_there:
        return None
    managed = outer.at(_MANAGED)

    def texts(key: str) -> list[str]:
        return managed.at(key).texts() if managed.at(key).is_there else []

    return LexiconMetadata(
        source=managed.at("$source").text("") or None,
        display_name=managed.at("displayName").text("") or None,
        tags=texts("tags"),
        hidden=managed.at("hidden").truth(False),
        dropped=managed.at("dropped").truth(False),
        contacts=texts("contacts"),
        team_contacts=texts("teamContacts"),
    )

"""People at a client: what they are asked, held to what the protocol allows, and what they answer."""

from collections.abc import Mapping
from typing import Any, Literal

from fastmcp.client.elicitation import ElicitResult

Action = Literal["accept", "decline", "cancel"]
Fields = Mapping[str, Any]

_PRIMITIVES = {"string", "number", "integer", "boolean"}
_WORDS = {
    "type", "title", "description", "default", "enum", "minimum", "maximum", "minLength", "maxLength", "format"
}  # fmt: skip


class Person:
    """Answers question after question, and remembers what was asked.

    Args:
        answers: an action alone, or the fields of the form, which accept it
    """

    def __init__(self, *answers: Action | Fields) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []
        self.forms: list[set[str]] = []

    async def __call__(self, message: str, _kind: Any, params: Any, _context: Any) -> ElicitResult[dict[str, Any]]:
        """A client's elicitation handler."""
        check_legal(params.requested_schema)
        self.asked.append(message)
        self.forms.append(set(params.requested_schema["properties"]))
        answer = self._answers.pop(0)
        if isinstance(answer, str):
            return ElicitResult(action=answer)
        return ElicitResult(action="accept", content=dict(answer))


def check_legal(schema: dict[str, Any]) -> None:
    """A form is an object of flat primitive fields; what may be left out has a default that is not null."""
    assert schema["type"] == "object"
    assert set(schema) <= {"type", "properties", "required", "title", "description"}
    assert schema["properties"]
    for name, field in schema["properties"].items():
        assert field["type"] in _PRIMITIVES, name
        assert set(field) <= _WORDS, name
        if name not in schema.get("required", []):
            assert field["default"] is not None, name

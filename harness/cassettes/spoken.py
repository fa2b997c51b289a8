"""A call of a tool as text on a tape, and back: what was called, what the tool asked back, what it answered.

A tool tells its answer twice, as structured content and as text; the second time a tape says that it does.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import pydantic

from harness.cassettes.styles import Style, dumped, shown, styled
from harness.cassettes.tape import AskedBack, Exchange, Reply, ToolCall

REPEATED = ("/structuredContent", "/structuredContent/result")
"""What a text of an answer may repeat."""


STRICT = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True)
"""Of every part of a tape: nothing is in it that is not known."""


class _Strict(pydantic.BaseModel):
    model_config = STRICT


class _Repeat(_Strict):
    """The text of a part of an answer: the JSON of what stands elsewhere in it."""

    part: Annotated[int, pydantic.Field(ge=0)]
    of: Literal["/structuredContent", "/structuredContent/result"]
    style: Style = "compact"


class _AskedBack(_Strict):
    """Its params and its reply are JSON."""

    method: str
    params: str
    reply: str

    def read(self) -> AskedBack:
        return AskedBack(self.method, _object(self.params), _object(self.reply))


class Call(_Strict):
    """A call; its arguments and its result are JSON."""

    tool: str
    arguments: str
    asked_back: list[_AskedBack] = []
    result: str
    repeats: list[_Repeat] = []

    def read(self) -> Exchange:
        """The call that this describes.

        Raises:
            ValueError: it describes none.
        """
        result = json.loads(self.result)
        for each in self.repeats:
            try:
                value = result["structuredContent"]
                value = value["result"] if each.of == REPEATED[1] else value
                result["content"][each.part]["text"] = dumped(value, each.style)
            except (LookupError, TypeError):
                raise ValueError(f"part {each.part} of an answer repeats what is not there") from None
        asked_back = tuple(each.read() for each in self.asked_back)
        return Exchange(ToolCall(self.tool, json.loads(self.arguments)), result, asked_back)


class Replying(_Strict):
    """What a client had to say to a form."""

    action: Literal["accept", "decline", "cancel"]
    content: dict[str, Any] | None = None

    def read(self) -> Reply:
        """The same as a case has it."""
        return Reply(self.action, self.content)


def call_value(exchange: Exchange) -> dict[str, Any]:
    """A call as plain values."""
    result = dict(exchange.result)
    repeats = list(_repeats(result))
    if repeats:
        parts = list(result["content"])
        for each in repeats:
            parts[each["part"]] = {name: inner for name, inner in parts[each["part"]].items() if name != "text"}
        result["content"] = parts
    asked_back = [
        {"method": each.method, "params": shown(dict(each.params)), "reply": shown(dict(each.reply))}
        for each in exchange.asked_back
    ]
    return {
        "tool": exchange.call.tool,
        "arguments": shown(dict(exchange.call.arguments)),
        **({"asked_back": asked_back} if asked_back else {}),
        "result": shown(result),
        **({"repeats": repeats} if repeats else {}),
    }


def _repeats(result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    content = result.get("structuredContent")
    places = {REPEATED[0]: content}
    if isinstance(content, dict) and "result" in content:
        places[REPEATED[1]] = content["result"]
    for number, part in enumerate(result.get("content") or ()):
        text = part.get("text") if isinstance(part, dict) else None
        said = styled(text) if isinstance(text, str) else None
        of = next((place for place, value in places.items() if said and dumped(value, said[1]) == text), None)
        if said and of:
            yield {"part": number, "of": of, **({"style": said[1]} if said[1] != "compact" else {})}


def _object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("what was asked back is a JSON object, and so is its reply")  # noqa: TRY004 -- of a tape's text
    return value

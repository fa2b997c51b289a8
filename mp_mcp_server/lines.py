"""The ways back to a client: questions pushed to it, or handed to it as input that is required.

handshake era, session     pushed; the tool's thread waits for the answer
modern era                 the tool is left, the client answers and calls again
handshake era, no session  the client cannot be asked
"""

import base64
import json
import logging
import zlib
from collections.abc import Mapping
from functools import partial
from typing import Any, TypeVar, cast

import anyio
import pydantic
from fastmcp import Context
from mcp.server.session import ServerSession
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types import (
    ClientCapabilities,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
    SamplingMessage,
    TextContent,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from mixpanel_data import MixpanelDataError
from mp_mcp_server.call import InputRequired, Line, ModelError, Outcome, Prompt, Question, Spoken
from mp_mcp_server.loopside import Loopside, Progress
from mp_mcp_server.model_endpoint import Endpoint, as_text

Told = TypeVar("Told", bound=pydantic.BaseModel)

logger = logging.getLogger(__name__)

# As long as the seal of what travels with a question lasts.
PATIENCE_S = 600.0
# Sealed and in base64 it stays far below the 4 MiB that a request may have.
_MOST_STATE_BYTES = 512 * 1024
_LONGEST_SAID = 100_000

_OUTCOMES: Mapping[str, Outcome] = {"accept": "accepted", "decline": "declined", "cancel": "cancelled"}


def line_of(context: Context, loopside: Loopside, endpoint: Endpoint | None) -> tuple[Line, dict[str, Any]]:
    """The way back to the client of a call, and what is known from earlier rounds of it.

    Args:
        context: of the call
        loopside: its side on the event loop
        endpoint: the model to ask where the client has none
    """
    if context.request_context is None:
        return _Nobody(endpoint, loopside), {}
    session = context.session
    progress = Progress(loopside, session.report_progress)
    if session.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        return _Pushed(endpoint, loopside, session, progress, context.request_id), {}
    known, asked = _unpacked(context.request_state)
    # Only what was asked for counts: a client may not put values in the place of computed ones.
    answers = {key: said for key, said in (context.input_responses or {}).items() if key == asked}
    return _HandedOver(endpoint, loopside, session, progress, answers), known


def input_required(asked: InputRequired, known: Mapping[str, Any]) -> InputRequiredResult:
    """What a client of the modern era is answered: answer this, and call again with that.

    Raises:
        MixpanelDataError: code STATE_TOO_LARGE: what is known does not fit.
    """
    wanted = asked.wanted
    request = _elicitation(wanted) if isinstance(wanted, Question) else _sampling(wanted)
    return InputRequiredResult(input_requests={asked.key: request}, request_state=_packed(known, asked.key))


class _Nobody:
    """A call that came by no connection."""

    def __init__(self, endpoint: Endpoint | None, loopside: Loopside) -> None:
        self._endpoint, self._loopside = endpoint, loopside

    def progress(self, done: float, total: float | None, message: str) -> None:
        """Nobody is told."""

    def put(self, _key: str, _question: Question) -> tuple[Outcome, Any]:
        """Nobody is asked."""
        return "unavailable", None

    def sample(self, _key: str, prompt: Prompt) -> Spoken | None:
        """The model of MP_LLM_BASE_URL, where that is set."""
        if self._endpoint is None:
            return None
        return self._loopside.wait_for(partial(self._endpoint.say, prompt))


class _Connected(_Nobody):
    def __init__(
        self, endpoint: Endpoint | None, loopside: Loopside, session: ServerSession, progress: Progress
    ) -> None:
        super().__init__(endpoint, loopside)
        self._session, self._tell = session, progress

    def progress(self, done: float, total: float | None, message: str) -> None:
        self._tell(done, total, message)

    @property
    def _client(self) -> ClientCapabilities:
        return self._session.client_capabilities or ClientCapabilities()

    @property
    def _fills_in_forms(self) -> bool:
        modes = self._client.elicitation
        # One that names no mode is older than the other mode.
        return modes is not None and (modes.form is not None or modes.url is None)


class _Pushed(_Connected):
    """The client keeps a session and is asked within it."""

    def __init__(
        self,
        endpoint: Endpoint | None,
        loopside: Loopside,
        session: ServerSession,
        progress: Progress,
        request_id: str,
    ) -> None:
        super().__init__(endpoint, loopside, session, progress)
        self._on_this_request = ServerMessageMetadata(related_request_id=request_id)

    def put(self, _key: str, question: Question) -> tuple[Outcome, Any]:
        if not (self._fills_in_forms and self._session.can_send_request):
            return "unavailable", None
        request = _elicitation(question)
        try:
            answer = self._loopside.wait_for(lambda: self._ask(request, ElicitResult))
        except (MCPError, pydantic.ValidationError) as error:
            logger.warning("a client that says it can be asked answered with an error: %s", type(error).__name__)
            return "unavailable", None
        # Nobody who answers for so long has gone away.
        return ("cancelled", None) if answer is None else _outcome(answer)

    def sample(self, key: str, prompt: Prompt) -> Spoken | None:
        if self._client.sampling is None or not self._session.can_send_request:
            return super().sample(key, prompt)
        request = _sampling(prompt)
        try:
            answer = self._loopside.wait_for(lambda: self._ask(request, CreateMessageResult))
        except (MCPError, pydantic.ValidationError) as error:
            raise ModelError(f"the client's model gave no answer ({type(error).__name__})") from None
        if answer is None:
            raise ModelError(f"the client's model gave no answer within {PATIENCE_S:.0f} s")
        return _spoken(answer)

    async def _ask(self, request: Any, kind: type[Told]) -> Told | None:
        with anyio.move_on_after(PATIENCE_S):
            return await self._session.send_request(request, kind, metadata=self._on_this_request)
        return None


class _HandedOver(_Connected):
    """The client is answered with the question, and calls again with its answer."""

    def __init__(
        self,
        endpoint: Endpoint | None,
        loopside: Loopside,
        session: ServerSession,
        progress: Progress,
        answers: Mapping[str, Any],
    ) -> None:
        super().__init__(endpoint, loopside, session, progress)
        self._answers = answers

    def put(self, key: str, question: Question) -> tuple[Outcome, Any]:
        if isinstance(answer := self._answers.get(key), ElicitResult):
            return _outcome(answer)
        if not self._fills_in_forms:
            return "unavailable", None
        raise InputRequired(key, question)

    def sample(self, key: str, prompt: Prompt) -> Spoken | None:
        answer = self._answers.get(key)
        if answer is not None and not isinstance(answer, ElicitResult):
            return _spoken(answer)
        if self._client.sampling is None:
            return super().sample(key, prompt)
        raise InputRequired(key, prompt)


def _elicitation(question: Question) -> ElicitRequest:
    # not before somebody is asked: it takes a while to import
    from fastmcp.server.elicitation import get_elicitation_schema

    return ElicitRequest(
        params=ElicitRequestFormParams(message=question.message, requested_schema=get_elicitation_schema(question.form))
    )


def _sampling(prompt: Prompt) -> CreateMessageRequest:
    said = SamplingMessage(role="user", content=TextContent(type="text", text=as_text(prompt)))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[said], max_tokens=prompt.most_tokens))


def _outcome(answer: ElicitResult) -> tuple[Outcome, Any]:
    outcome = _OUTCOMES[answer.action]
    return outcome, (answer.content or {}) if outcome == "accepted" else None


def _spoken(answer: Any) -> Spoken:
    content = getattr(answer, "content", None)
    said = content.text if isinstance(content, TextContent) else ""
    if not said.strip():
        raise ModelError("the client's model said nothing that can be read")
    if len(said) > _LONGEST_SAID:
        raise ModelError(f"the client's model said more than {_LONGEST_SAID} characters")
    return Spoken(said, answer.model, "client")


def _packed(known: Mapping[str, Any], asked: str) -> str:
    packed = base64.b85encode(zlib.compress(json.dumps([known, asked], separators=(",", ":")).encode())).decode()
    if len(packed) > _MOST_STATE_BYTES:
        raise MixpanelDataError(
            f"what was found before the question is too large to travel with it ({len(packed) // 1024} kB)",
            "STATE_TOO_LARGE",
            fix="ask for fewer days, events or segments at once",
        )
    return packed


def _unpacked(state: str | None) -> tuple[dict[str, Any], str | None]:
    """What `_packed` was given; it was sealed on its way, so that it is nobody else's."""
    if state is None:
        return {}, None
    return cast("tuple[dict[str, Any], str]", tuple(json.loads(zlib.decompress(base64.b85decode(state)))))

"""What a tool may use besides its arguments: the workspace, and a line back to whoever called.

A tool reads from top to bottom and asks where it must. How a question reaches a person differs: where the client keeps
a session it is pushed, and the tool waits in its thread; where it keeps none the tool is left by `InputRequired`, the
client asks and calls again from the top, and everything that went through `once` and `ask` is known already. So
whatever costs a query before a question goes through `once`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

from pydantic import BaseModel

from mp_mcp_server.results import Results

if TYPE_CHECKING:  # the catalogue is read as data, without what a Workspace needs
    from mixpanel_data import Workspace

Form = TypeVar("Form", bound=BaseModel)
Known = TypeVar("Known")

Outcome = Literal["accepted", "declined", "cancelled", "unavailable"]


@dataclass(frozen=True, slots=True)
class Answer(Generic[Form]):
    """What came back on a question.

    outcome: unavailable where the client can ask nobody
    form: filled in where accepted, else None
    """

    outcome: Outcome
    form: Form | None = None


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a model said.

    text: its words
    model: which one, as it calls itself
    by: client where the client's own model spoke, endpoint where it was asked at MP_LLM_BASE_URL
    """

    text: str
    model: str
    by: Literal["client", "endpoint"]


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is asked.

    task: in our own words
    data: JSON text of what is known; nothing in it is an instruction
    most_tokens: of the answer
    """

    task: str
    data: str
    most_tokens: int = 1200


class InputRequired(Exception):  # noqa: N818 -- no error: the tool is left until the client comes again
    """The client must answer first, and call again."""

    def __init__(self, key: str, wanted: "Question | Prompt") -> None:
        super().__init__(key)
        self.key, self.wanted = key, wanted


class Elsewhere(Exception):  # noqa: N818 -- no error: the tool is left, and begins again in a thread of another kind
    """The rest of the work belongs to the threads of another category."""

    def __init__(self, category: str) -> None:
        super().__init__(category)
        self.category = category


@dataclass(frozen=True, slots=True)
class Question:
    """What a person is asked.

    form: its fields are flat and primitive, optional ones with a default that is not null
    """

    message: str
    form: type[BaseModel]


class Line(Protocol):
    """The way back to the client; each method may be called from the tool's thread."""

    def progress(self, done: float, total: float | None, message: str) -> None:
        """Tell how far it is; returns at once, also where nobody listens."""

    def put(self, key: str, question: Question) -> tuple[Outcome, Any]:
        """Ask a person.

        Returns:
            What they did, and the fields of the form as a dict where they accepted.

        Raises:
            InputRequired: the answer comes with the next call.
        """

    def sample(self, key: str, prompt: Prompt) -> Spoken | None:
        """Ask a model; None where there is none.

        Raises:
            InputRequired: the answer comes with the next call.
            ModelError: there is one, and it fails.
        """


class ModelError(Exception):
    """A model was asked and gave no answer that can be used."""


@dataclass(slots=True)
class Call:
    """One call of a tool.

    cancelled: set when nobody waits for the answer any more; long work looks at it between two pieces
    known: what `once` computed and how questions were answered, JSON-ready, by key
    results: where a full result is kept whose answer was cut; the server's own, for all calls
    category: whose thread it runs in; None where nobody counts threads
    """

    workspace: "Workspace"
    line: Line
    cancelled: Event = field(default_factory=Event)
    known: dict[str, Any] = field(default_factory=dict)
    results: Results = field(default_factory=Results)
    category: str | None = None

    def go_on_as(self, category: str) -> None:
        """Have what follows done by a thread of that category; what went through `once` and `ask` is known there.

        Raises:
            Elsewhere: not to be caught: the tool begins again there.
        """
        if self.category not in (None, category):
            raise Elsewhere(category)

    def once(self, key: str, compute: Callable[[], Known]) -> Known:
        """What `compute` gives, which is JSON-ready; when the tool runs again after a question, without computing."""
        if key not in self.known:
            self.known[key] = compute()
        value: Known = self.known[key]
        return value

    def ask(self, key: str, message: str, form: type[Form]) -> Answer[Form]:
        """Ask the person at the client to fill in a form.

        Raises:
            InputRequired: not to be caught: the client asks, and calls again.
            pydantic.ValidationError: the answer does not fit the form.
        """
        if key not in self.known:
            self.known[key] = list(self.line.put(key, Question(message, form)))
        outcome, fields = self.known[key]
        return Answer(outcome, form.model_validate(fields) if outcome == "accepted" else None)

    def sample(self, key: str, prompt: Prompt) -> Spoken | None:
        """Ask a model to word something; None where there is none.

        Raises:
            InputRequired: as `ask`.
            ModelError: it fails, or says nothing.
        """
        if key not in self.known:
            spoken = self.line.sample(key, prompt)
            self.known[key] = None if spoken is None else [spoken.text, spoken.model, spoken.by]
        said = self.known[key]
        return None if said is None else Spoken(*said)

    def progress(self, done: float, total: float | None, message: str) -> None:
        """Tell the client how far it is; cheap enough for every piece."""
        self.line.progress(done, total, message)

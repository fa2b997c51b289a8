"""A client in memory that answers what it is asked back as a case says."""

from typing import Any

from fastmcp.client.elicitation import ElicitResult

from harness.suite.client import ELICIT, SAMPLE, Person


def handlers(person: Person) -> dict[str, Any]:
    """What a client of fastmcp takes to be asked back, as far as the person can be."""

    async def elicit(_message: str, _form: Any, params: Any, _context: Any) -> ElicitResult[Any]:
        return ElicitResult(**person.answer(ELICIT, _plain(params)))

    async def sample(_messages: Any, params: Any, _context: Any) -> str:
        said: str = person.answer(SAMPLE, _plain(params))["content"]["text"]
        return said

    found: dict[str, Any] = {} if person.replies is None else {"elicitation_handler": elicit}
    return found if person.samples is None else {**found, "sampling_handler": sample}


def _plain(params: Any) -> dict[str, Any]:
    dumped: dict[str, Any] = params.model_dump(mode="json", by_alias=True, exclude_none=True)
    return dumped

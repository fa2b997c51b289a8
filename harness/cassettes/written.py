"""A tape as text that can be reviewed, and back; the same form, one JSON line each, in a journal.

Bodies are text. JSON stands there in lines of a page's width wherever the bytes can be had back from that, and says in
`style` how it travelled where that is not the usual way. What is no text is base64.
"""

import base64
import contextlib
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlencode

import pydantic
import yaml

from harness.cassettes import tape
from harness.cassettes.spoken import STRICT, Call, Replying, call_value
from harness.cassettes.styles import Style, dumped, shown, styled
from harness.cassettes.tape import Answer, Asked, Interaction, Recorded, Tape, Varies
from harness.errors import Exit, HarnessError

FORM = "application/x-www-form-urlencoded"

_ASIDE = re.compile(rf"\..+--.+{re.escape(tape.SUFFIX)}\.[0-9a-f]{{8}}")
"""What `replace` writes before it takes a tape's place."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_Values = dict[str, str | list[str]]


class _Strict(pydantic.BaseModel):
    model_config = STRICT


class _Body(_Strict):
    """At most one of the four."""

    json_: Annotated[str | None, pydantic.Field(alias="json")] = None
    style: Style = "compact"
    form: _Values | None = None
    text: str | None = None
    base64_: Annotated[str | None, pydantic.Field(alias="base64")] = None

    def read(self) -> bytes:
        if sum(said is not None for said in (self.json_, self.form, self.text, self.base64_)) > 1:
            raise ValueError("a body is json, form, text or base64, and not two of them")
        if self.json_ is not None:
            return dumped(json.loads(self.json_), self.style).encode()
        if self.form is not None:
            return urlencode(_pairs(self.form)).encode()
        if self.base64_ is not None:
            return base64.b64decode(self.base64_, validate=True)
        return (self.text or "").encode()


class _Request(_Body):
    method: str
    url: str
    query: _Values = {}
    type: str = ""


class _Answer(_Body):
    status: Annotated[int, pydantic.Field(ge=100, le=599)]
    headers: dict[str, str] = {}


class _Interaction(_Strict):
    request: _Request
    answer: _Answer


class _Varies(_Strict):
    place: str
    what: Literal["order", "values"]
    reason: str


class _Recorded(_Strict):
    at: str
    target: tape.Target
    clock: str
    region: str
    data: dict[str, Any] | None
    versions: dict[str, str]


class _Tape(_Strict):
    format: Literal[1]
    case: str
    recorded: _Recorded
    faults: list[dict[str, Any]] = []
    varies: list[_Varies] = []
    replies: list[Replying] | None = None
    samples: list[str] | None = None
    interactions: list[_Interaction]
    calls: list[Call] = []
    end: int


def interaction_value(interaction: Interaction) -> dict[str, Any]:
    """A request with its answer as plain values."""
    asked, answer = interaction.asked, interaction.answer
    request: dict[str, Any] = {"method": asked.method, "url": asked.url}
    if asked.query:
        request["query"] = _grouped(sorted(asked.query, key=lambda pair: pair[0]))
    if asked.body:
        request |= {"type": asked.media_type, **_body(asked.body, asked.media_type)}
    return {
        "request": request,
        "answer": {
            "status": answer.status,
            **({"headers": dict(answer.headers)} if answer.headers else {}),
            **(_body(answer.body) if answer.body else {}),
        },
    }


def interaction(value: object) -> Interaction:
    """The interaction that plain values describe.

    Raises:
        ValueError: they do not.
    """
    return _interaction(_Interaction.model_validate(value))


def text_of(whole: Tape) -> str:
    """The tape's text; its last line says how many interactions there are, so that a cut one is known."""
    document = {
        "format": tape.FORMAT,
        "case": whole.case,
        "recorded": {name: _plain(getattr(whole.recorded, name)) for name in _Recorded.model_fields},
        **({"faults": [dict(each) for each in whole.faults]} if whole.faults else {}),
        **({"varies": [asdict(each) for each in whole.varies]} if whole.varies else {}),
        **({} if whole.replies is None else {"replies": [each.to_dict() for each in whole.replies]}),
        **({} if whole.samples is None else {"samples": list(whole.samples)}),
        "interactions": [interaction_value(each) for each in whole.interactions],
        **({"calls": [call_value(each) for each in whole.exchanges]} if whole.exchanges else {}),
        "end": len(whole.interactions),
    }
    text = yaml.dump(document, Dumper=_Readable, sort_keys=False, allow_unicode=True, width=1 << 20)
    return str(text)


def parsed(text: str, case: str) -> Tape:
    """The tape that a text is.

    Raises:
        HarnessError: TAPE_UNREADABLE, TAPE_CUT
    """
    try:
        document = yaml.load(text, Loader=_Loader)  # noqa: S506 -- a safe loader, in C where there is one
        of = document.get("format") if isinstance(document, dict) else None
        if of == tape.FORMAT and "end" not in document:
            raise _cut(case)
        if isinstance(of, int) and of > tape.FORMAT:
            raise _newer(case, of)
        read = _Tape.model_validate(document)
        whole = Tape(
            read.case,
            Recorded(**read.recorded.model_dump()),
            tuple(map(_interaction, read.interactions)),
            tuple(each.read() for each in read.calls),
            tuple(read.faults),
            tuple(Varies(**each.model_dump()) for each in read.varies),
            None if read.replies is None else tuple(each.read() for each in read.replies),
            None if read.samples is None else tuple(read.samples),
        )
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        what = _in_short(error)
    else:
        if read.end != len(whole.interactions):
            raise _cut(case)
        if whole.case == case:
            return whole
        what = f"it says that it is of {whole.case[:200]!r}"
    raise _unreadable(case, what)


def read(directory: Path, case: str) -> Tape:
    """The tape of a case.

    Raises:
        HarnessError: TAPE_MISSING, TAPE_UNREADABLE, TAPE_CUT, TAPE_TOO_LARGE, NO_SUCH_CASE (exit 2)
    """
    file = tape.place(directory, case)
    try:
        with file.open("rb") as opened:
            data = opened.read(tape.LARGEST_BYTES + 1)
    except FileNotFoundError:
        tool = case.partition("/")[2].partition("--")[0]
        raise HarnessError(
            "TAPE_MISSING", f"there is no tape of {case}", fix=f"record it: harness record --only {tool}"
        ) from None
    except OSError as error:
        raise _unreadable(case, error.strerror or str(error)) from error
    if len(data) > tape.LARGEST_BYTES:
        tape.too_large(case, file.stat().st_size)
    if not data.strip():
        raise _cut(case)
    try:
        return parsed(data.decode(), case)
    except UnicodeDecodeError:
        if _ends_within_a_letter(data):
            raise _cut(case) from None
        raise _unreadable(case, "it is not UTF-8") from None


def write(directory: Path, whole: Tape) -> Path:
    """Put a tape in its place, whole or not at all.

    Raises:
        HarnessError: TAPE_TOO_LARGE; NOT_WRITTEN (exit 2)
    """
    data = text_of(whole).encode()
    if len(data) > tape.LARGEST_BYTES:
        tape.too_large(whole.case, len(data))
    file = tape.place(directory, whole.case)
    replace(file, data)
    return file


def replace(file: Path, data: bytes) -> None:
    """Give a file new content at once: whoever looks sees the old or the new, and never a part.

    Raises:
        HarnessError: NOT_WRITTEN (exit 2)
    """
    new = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with new.open("xb") as opened:
                opened.write(data)
                opened.flush()
                os.fsync(opened.fileno())
            new.replace(file)
        except BaseException:
            with contextlib.suppress(OSError):  # where nothing can be written nothing can be removed
                new.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def writing(file: Path) -> Iterator[None]:
    """A disk that is full or may not be written to is said so.

    Raises:
        HarnessError: NOT_WRITTEN (exit 2)
    """
    try:
        yield
    except OSError as error:
        raise HarnessError(
            "NOT_WRITTEN",
            f"{file} cannot be written: {error.strerror}",
            fix="make room, or name a directory that you can write to; then go on with the same command",
            exit_code=Exit.USAGE,
        ) from error


def sweep(directory: Path) -> None:
    """Remove what a kill left of a tape that was being written; the tape itself is as it was before."""
    for left in directory.glob(f"*/.*{tape.SUFFIX}.*"):
        if _ASIDE.fullmatch(left.name):
            left.unlink(missing_ok=True)


class _Readable(_Dumper):  # type: ignore[misc]  # which class it is depends on the build
    """Texts of several lines as such."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 -- the base class's parameter
        return True


def _as_lines(dumper: Any, text: str) -> Any:
    # What cannot stand as lines, such as a line that ends with a blank, the emitter writes quoted by itself.
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Readable.add_representer(str, _as_lines)


def _body(body: bytes, media_type: str = "") -> dict[str, Any]:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}
    if media_type == FORM:
        fields = _grouped(sorted(parse_qsl(text, keep_blank_values=True), key=lambda pair: pair[0]))
        # The order of fields means nothing, and is the only thing that may be lost.
        if sorted(urlencode(_pairs(fields)).split("&")) == sorted(text.split("&")):
            return {"form": fields}
    return _json_body(text) or {"text": text}


def _json_body(text: str) -> dict[str, Any] | None:
    said = styled(text)
    if said is None:
        return None
    value, style = said
    try:
        return {"json": shown(value, style), **({"style": style} if style != "compact" else {})}
    except RecursionError:
        return None


def _grouped(pairs: list[tuple[str, str]]) -> _Values:
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return {name: each[0] if len(each) == 1 else each for name, each in values.items()}


def _pairs(values: Mapping[str, str | list[str]]) -> list[tuple[str, str]]:
    return list(_each(values))


def _each(values: Mapping[str, str | list[str]]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        for one in [value] if isinstance(value, str) else value:
            yield name, one


def _interaction(read: _Interaction) -> Interaction:
    request, answer = read.request, read.answer
    return Interaction(
        Asked(request.method, request.url, tuple(_each(request.query)), request.type, request.read()),
        Answer(answer.status, answer.headers, answer.read()),
    )


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _in_short(error: Exception) -> str:
    if isinstance(error, pydantic.ValidationError):
        wrong = error.errors(include_input=False, include_url=False)[0]
        return f"{'.'.join(map(str, wrong['loc']))}: {wrong['msg']}"[:300]
    return " ".join(str(error).split())[:300] or type(error).__name__


def _ends_within_a_letter(data: bytes) -> bool:
    with contextlib.suppress(UnicodeDecodeError):
        data[: max(data.rfind(b"\n"), 0)].decode()
        return True
    return False


def _cut(case: str) -> HarnessError:
    return HarnessError(
        "TAPE_CUT",
        f"the tape of {case} is cut: its last line does not say how many requests there are",
        fix="take the whole file from version control, or remove it and record it anew: harness record",
    )


def _newer(case: str, of: int) -> HarnessError:
    return HarnessError(
        "TAPE_UNREADABLE",
        f"the tape of {case} is of format {of}, and this version knows those up to {tape.FORMAT}",
        fix="take the version that wrote it, or remove the tape and record it anew: harness record",
    )


def _unreadable(case: str, what: str) -> HarnessError:
    return HarnessError(
        "TAPE_UNREADABLE",
        f"the tape of {case} cannot be read: {what}",
        fix="take the file from version control, or remove it and record it anew: harness record",
    )

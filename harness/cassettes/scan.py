"""Secrets where tapes are: `python -m harness.cassettes.scan [FILE…]`, for tests and before a commit.

It knows nothing of how a tape came to be: it looks at every file as bytes, for given secrets in every form in which
they could be written, and for what secrets look like.
"""

import base64
import binascii
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.cassettes import launch, scrub
from harness.errors import Exit, HarnessError

SHAPES: Mapping[str, re.Pattern[bytes]] = {
    "a private key": re.compile(rb"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----"),
    "a JSON web token": re.compile(rb"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    "an Authorization header": re.compile(
        rb"(?i)authorization[\"']?\s{0,4}[:=]\s{0,4}[\[\"'\-]{0,3}\s{0,4}(?:basic|bearer)\s{1,4}[a-z0-9+/=._~-]{8,}"
    ),
    "Basic credentials": re.compile(rb"\bBasic [A-Za-z0-9+/]{16,}={0,2}"),
    "a key of AWS": re.compile(rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a token of GitHub": re.compile(rb"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,})"),
    "a token of Slack": re.compile(rb"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    "a key of a model": re.compile(rb"\bsk-[A-Za-z0-9_-]{20,}"),
    "a key of Google": re.compile(rb"\bAIza[0-9A-Za-z_-]{35}"),
    "a service account of Mixpanel": re.compile(rb"\b[a-z0-9_-]{1,64}\.[0-9a-f]{6}\.mp-service-account\b"),
    "a cookie": re.compile(rb"(?i)\bset-cookie\b"),
    "a URL with a password": re.compile(rb"[a-z]://[^\s/:@'\"]{1,64}:[^\s/:@'\"]{1,64}@"),
}
"""What secrets look like, by a name that can be told; none of them in a form that text has by chance."""

_PACKED = re.compile(rb"\bbase64: ['\"]?([A-Za-z0-9+/=]+)")
_LIVE = re.compile(rb"^ {2}target: live$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be published; what it is, and never its text."""

    file: Path
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"


def scan(files: Iterable[Path], canaries: Collection[str] = ()) -> list[Finding]:
    """All that is found in these files.

    Args:
        canaries: secrets by value; each is looked for in all of its forms
    """
    forms = {written.encode(): form for canary in canaries for form, written in scrub.forms_of(canary).items()}
    known = re.compile(b"|".join(map(re.escape, sorted(forms, key=len, reverse=True)))) if forms else None
    return [found for file in files for found in _in_file(file, known, forms)]


def canaries(environment: Mapping[str, str]) -> list[str]:
    """The secrets of a shell that may not be on a tape."""
    names = ("MP_SECRET", "MP_USERNAME", "MP_LLM_API_KEY", "MP_STATE_KEY")
    return [value for name in names if (value := environment.get(name))]


def everything(directory: Path) -> list[Path]:
    """Every file below a directory, whatever its name."""
    return sorted(file for file in directory.rglob("*") if file.is_file())


def main(argv: Sequence[str] | None = None) -> int:
    """Look through files and all that is below directories, all tapes when none is named.

    Returns:
        0 when nothing was found, 1 when something was, 2 for a file that is not there.
    """
    from harness.output import write
    from harness.settings import load

    words = list(sys.argv[1:] if argv is None else argv)
    settings = load()
    try:
        places = [Path(word) for word in words] or [(settings.root or Path.cwd()) / launch.TAPES]
        files = [file for place in places for file in _there(place)]
    except HarnessError as error:
        write(f"{error.code}: {error}")
        return error.exit_code
    found = scan(files, canaries(settings.environment))
    for each in found:
        write(str(each))
    write(f"{len(files)} files, {len(found)} findings")
    return Exit.FAILED if found else Exit.GOOD


def _there(place: Path) -> list[Path]:
    if not place.exists():
        raise HarnessError(
            "NO_SUCH_FILE", f"there is no file {place}", fix="name a file or a directory", exit_code=Exit.USAGE
        )
    return everything(place) if place.is_dir() else [place]


def _in_file(file: Path, known: re.Pattern[bytes] | None, forms: Mapping[bytes, str]) -> Iterator[Finding]:
    data = file.read_bytes()
    yield from (Finding(file, _line(data, at), what) for at, what in _in_bytes(data, known, forms))
    if _LIVE.search(data):
        for person in scrub.EMAIL.finditer(data):
            if not person[0].endswith(scrub.INVENTED):
                yield Finding(file, _line(data, person.start()), "an e-mail address from live Mixpanel")
    for packed in _PACKED.finditer(data):
        try:
            inner = base64.b64decode(packed[1], validate=True)
        except binascii.Error:
            continue  # text that says base64, and is none
        for _, what in _in_bytes(inner, known, forms):
            yield Finding(file, _line(data, packed.start()), f"{what}, within base64")


def _in_bytes(data: bytes, known: re.Pattern[bytes] | None, forms: Mapping[bytes, str]) -> Iterator[tuple[int, str]]:
    for found in known.finditer(data) if known else ():
        yield found.start(), f"a given secret, written as {forms[found[0]] or 'it is'}"
    for what, shape in SHAPES.items():
        yield from ((found.start(), what) for found in shape.finditer(data))


def _line(data: bytes, at: int) -> int:
    return data.count(b"\n", 0, at) + 1


if __name__ == "__main__":
    sys.exit(main())

"""A bundle as a file: a small zip, made the same way each time, and read as what anybody may have made.

Nothing of it is ever unpacked to the disk.
"""

import contextlib
import hashlib
import io
import json
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pydantic

from harness.bundle.report import Report
from harness.errors import Exit, HarnessError

REPORT, MANIFEST = "report.json", "manifest.json"
LOG_NAME = re.compile(r"logs/[A-Za-z0-9][A-Za-z0-9._-]{0,80}\.log")
MOST_FILE_BYTES = 32 << 20
MOST_ENTRY_BYTES = 16 << 20
MOST_BYTES = 64 << 20
MOST_ENTRIES = 40
MOST_DIRECTORY_BYTES = 16 << 10

_END = struct.Struct("<4s4H2LH")
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A report with its logs: name → text."""

    report: Report
    logs: Mapping[str, str]


def pack(bundle: Bundle) -> bytes:
    """The bundle as a zip; of the same bundle always the same bytes."""
    parts = {REPORT: _json(bundle.report.model_dump(mode="json"))}
    parts |= {f"logs/{name}.log": text.encode(errors="replace") for name, text in sorted(bundle.logs.items())}
    entries = [
        {"name": name, "bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()} for name, raw in parts.items()
    ]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, raw in {MANIFEST: _json({"entries": entries}), **parts}.items():
            entry = zipfile.ZipInfo(name, _FIRST_DAY)
            entry.create_system, entry.external_attr = 3, (stat.S_IFREG | 0o600) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, raw)
    return packed.getvalue()


def write(path: Path, raw: bytes) -> None:
    """Make the file, readable by its owner only, as a whole; one that is there already is left alone.

    Raises:
        HarnessError: BUNDLE_EXISTS (exit 5), BUNDLE_NOT_WRITTEN (exit 2)
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            # A link is refused where something is, which a rename would replace.
            path.hardlink_to(aside)
        finally:
            aside.unlink()
    except FileExistsError:
        raise HarnessError(
            "BUNDLE_EXISTS",
            f"{path} is there already",
            fix="name another file, or remove that one",
            exit_code=Exit.CONFLICT,
        ) from None
    except OSError as error:
        raise HarnessError(
            "BUNDLE_NOT_WRITTEN",
            f"{path} cannot be written: {error.strerror}",
            fix="name a file in a directory that you can write to",
            exit_code=Exit.USAGE,
        ) from None


def read(path: Path) -> Bundle:
    """Read a bundle, whoever made it.

    Raises:
        HarnessError: NO_BUNDLE (exit 2): it cannot be read, or is not what `harness bundle` makes
    """
    raw = _file(path)
    _bounded(path, raw)
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            parts = _parts(path, archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        _refuse(path, f"it is a damaged zip: {error}")
    _as_listed(path, parts)
    try:
        report = Report.model_validate_json(parts[REPORT])
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        _refuse(path, f"its report is not as expected at {where or 'its beginning'}: {first['msg']}")
    texts = {name: text for name, text in parts.items() if name not in (REPORT, MANIFEST)}
    return Bundle(report, {name[5:-4]: text.decode(errors="replace") for name, text in texts.items()})


def _file(path: Path) -> bytes:
    with contextlib.ExitStack() as stack:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            file = stack.enter_context(os.fdopen(descriptor, "rb"))
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                _refuse(path, "it is no regular file")
            raw = file.read(MOST_FILE_BYTES + 1)
        except OSError as error:
            _refuse(path, error.strerror or "the system does not say why")
    if len(raw) > MOST_FILE_BYTES:
        _refuse(path, f"it is larger than {MOST_FILE_BYTES >> 20} MiB")
    return raw


def _bounded(path: Path, raw: bytes) -> None:
    """Refuse a directory that would itself be a burden, before it is read."""
    if len(raw) < _END.size or raw[-_END.size :][:4] != b"PK\x05\x06":
        _refuse(path, "it is not a zip")
    _, _, _, _, entries, directory_bytes, _, comment = _END.unpack(raw[-_END.size :])
    large = raw[-_END.size - 20 : -_END.size][:4] == b"PK\x06\x07"
    if large or comment or entries > MOST_ENTRIES or directory_bytes > MOST_DIRECTORY_BYTES:
        _refuse(path, f"it is not as harness makes it: {entries} entries, a directory of {directory_bytes} bytes")


def _parts(path: Path, archive: zipfile.ZipFile) -> dict[str, bytes]:
    parts: dict[str, bytes] = {}
    left = MOST_BYTES
    for entry in archive.infolist():
        name, kind = entry.filename, stat.S_IFMT(entry.external_attr >> 16)
        if name not in (REPORT, MANIFEST) and not LOG_NAME.fullmatch(name):
            _refuse(path, f"it holds {name[:80]!r}, which no bundle has")
        if name in parts or kind not in (0, stat.S_IFREG) or entry.flag_bits & 1:
            _refuse(path, f"{name} is there twice, is no regular file, or is encrypted")
        # What an entry says of its own size is not believed.
        with archive.open(entry) as file:
            parts[name] = file.read(min(left, MOST_ENTRY_BYTES) + 1)
        left -= len(parts[name])
        if len(parts[name]) > MOST_ENTRY_BYTES or left < 0:
            _refuse(path, f"{name} holds more than it may: {MOST_ENTRY_BYTES >> 20} MiB")
    return parts


def _as_listed(path: Path, parts: Mapping[str, bytes]) -> None:
    try:
        listed = {row["name"]: row["sha256"] for row in json.loads(parts[MANIFEST])["entries"]}
    except (KeyError, TypeError, ValueError, RecursionError):
        _refuse(path, "it has no list of what is in it")
    found = {name: hashlib.sha256(raw).hexdigest() for name, raw in parts.items() if name != MANIFEST}
    if found != listed or REPORT not in found:
        _refuse(path, "what is in it is not what its list says")


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True).encode(errors="replace") + b"\n"


def _refuse(path: Path, why: str) -> NoReturn:
    raise HarnessError(
        "NO_BUNDLE",
        f"{path} cannot be read as a bundle: {why}",
        fix="have it made again: harness bundle FILE",
        exit_code=Exit.USAGE,
    )

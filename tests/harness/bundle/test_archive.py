"""A bundle as a file: made the same way each time, and read as something that anybody may have made."""

import io
import json
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.bundle import archive, text
from harness.bundle.archive import MANIFEST, REPORT, Bundle, pack, read, write
from harness.bundle.report import Log, Port, Report
from harness.errors import HarnessError

BUNDLE = Bundle(
    Report(
        made_at="2025-06-30T10:00:00+00:00",
        versions={"python": "3.11.7"},
        settings=[{"name": "mcp.port", "shown": "8200", "source": "HARNESS_MCP_PORT"}],
        settings_error=None,
        environment=[],
        status={"services": [{"name": "mcp", "state": "died", "how": "signal SIGKILL", "ready_s": 1.2}]},
        ports=[Port(service="mcp", port=8200, state="stranger", holder="pid 7 (nc)")],
        checks={
            "counts": {"fail": 1, "pass": 3},
            "roots": [{"id": "ports.free", "consequences": []}],
            "checks": [{"id": "ports.free", "what": "port 8200 is held"}],
        },
        known_issues=[{"id": "port-taken", "title": "the port is already in use", "weight": "fault"}],
        logs=[Log(name="mcp", bytes=12, whole=True)],
        notes=["a note"],
    ),
    {"mcp": "line one\n\x1b[31mred\x1b[0m\x07 line\n"},
)


def test_what_is_packed_is_read_again_and_packs_to_the_same_bytes(tmp_path: Path) -> None:
    write(tmp_path / "b.zip", pack(BUNDLE))
    assert stat.S_IMODE((tmp_path / "b.zip").stat().st_mode) == 0o600
    assert read(tmp_path / "b.zip") == BUNDLE
    assert pack(BUNDLE) == pack(read(tmp_path / "b.zip"))
    assert list(tmp_path.iterdir()) == [tmp_path / "b.zip"]


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_text("mine")
    with pytest.raises(HarnessError, match="is there already") as caught:
        write(tmp_path / "b.zip", b"x")
    assert caught.value.exit_code == 5
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HarnessError):
        write(tmp_path / "link", b"x")
    assert not (tmp_path / "elsewhere").exists()
    with pytest.raises(HarnessError, match="cannot be written"):
        write(tmp_path / "no" / "b.zip", b"x")


def test_it_reads_well_and_cannot_move_the_cursor() -> None:
    page = text.shown(BUNDLE)
    for part in (
        "mcp.port = 8200",
        "mcp died",
        "signal SIGKILL",
        "stranger pid 7 (nc)",
        "root       ports.free: port 8200 is held",
        "port-taken",
    ):
        assert part in page
    assert "\x1b" not in text.safe(BUNDLE.logs["mcp"])
    assert "\x07" not in text.safe(BUNDLE.logs["mcp"])
    assert "line one\n" in text.safe(BUNDLE.logs["mcp"])


def entries() -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(pack(BUNDLE))) as packed:
        return {entry.filename: packed.read(entry) for entry in packed.infolist()}


def zipped(parts: list[tuple[zipfile.ZipInfo | str, bytes]]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as packed:
        for entry, raw in parts:
            packed.writestr(entry, raw)
    return made.getvalue()


def listed(parts: dict[str, bytes]) -> bytes:
    """A zip of these parts whose list is right."""
    import hashlib

    rows = [
        {"name": n, "bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
        for n, raw in parts.items()
        if n != MANIFEST
    ]
    return zipped(
        [(MANIFEST, json.dumps({"entries": rows}).encode()), *((n, raw) for n, raw in parts.items() if n != MANIFEST)]
    )


def with_more(name: str, raw: bytes = b"x") -> Callable[[], bytes]:
    return lambda: listed({**entries(), name: raw})


def symlink() -> bytes:
    entry = zipfile.ZipInfo("logs/link.log")
    entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(io.BytesIO(listed({**entries(), "logs/link.log": b"/etc/passwd"}))) as right:
        rest = [(each.filename, right.read(each)) for each in right.infolist() if each.filename != entry.filename]
    return zipped([*rest, (entry, b"/etc/passwd")])


def with_report(**changes: Any) -> Callable[[], bytes]:
    def make() -> bytes:
        report = json.loads(entries()[REPORT])
        return listed({**entries(), REPORT: json.dumps({**report, **changes}).encode()})

    return make


def lying_about_its_size() -> bytes:
    """Says that 20 MiB of zeros are ten bytes."""
    raw = bytearray(listed({**entries(), "logs/bomb.log": b"\0" * (20 << 20)}))
    place = raw.rindex(b"logs/bomb.log") - 46 + 24
    raw[place : place + 4] = struct.pack("<L", 10)
    return bytes(raw)


def many() -> bytes:
    return zipped([*entries().items(), *((f"logs/x{n}.log", b"") for n in range(100))])


def twice() -> bytes:
    with pytest.warns(UserWarning, match="Duplicate name"):
        return zipped([*entries().items(), (REPORT, b"{}")])


def damaged() -> bytes:
    raw = bytearray(pack(BUNDLE))
    at = raw.index(b"report.json") + len("report.json")
    raw[at : at + 40] = b"\xff" * 40
    return bytes(raw)


def encrypted() -> bytes:
    raw = bytearray(pack(BUNDLE))
    place = raw.rindex(b"report.json") - 46 + 8
    raw[place] |= 1
    return bytes(raw)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "no zip": lambda: b"hello" * 100,
    "cut": lambda: pack(BUNDLE)[:-30],
    "a comment": lambda: pack(BUNDLE)[:-2] + struct.pack("<H", 5) + b"hello",
    "upwards": with_more("../../escape.log"),
    "upwards in logs": with_more("logs/../../escape.log"),
    "absolute": with_more("/etc/cron.d/x.log"),
    "backslash": with_more("logs\\..\\x.log"),
    "another name": with_more("run.sh"),
    "symbolic link": symlink,
    "bomb": with_more("logs/bomb.log", b"\0" * (17 << 20)),
    "bombs": lambda: listed({**entries(), **{f"logs/b{n}.log": b"\0" * (15 << 20) for n in range(5)}}),
    "lies": lying_about_its_size,
    "many": many,
    "twice": twice,
    "damaged": damaged,
    "encrypted": encrypted,
    "not as listed": lambda: zipped(
        [*((n, r) for n, r in entries().items() if n != "logs/mcp.log"), ("logs/mcp.log", b"forged")]
    ),
    "no list": lambda: zipped([(n, r) for n, r in entries().items() if n != MANIFEST]),
    "deep list": lambda: zipped([(MANIFEST, b"[" * 100_000), (REPORT, entries()[REPORT])]),
    "no report": lambda: listed({n: r for n, r in entries().items() if n != REPORT}),
    "another format": with_report(format=2),
    "more in the report": with_report(surprise=1),
    "deep report": lambda: listed({**entries(), REPORT: b"[" * 100_000}),
    "a table as versions": with_report(versions=[1, 2]),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_no_bundle_has_is_refused(what: str, tmp_path: Path) -> None:
    path = tmp_path / "b.zip"
    path.write_bytes(HOSTILE[what]())
    with pytest.raises(HarnessError) as caught:
        read(path)
    assert (caught.value.code, caught.value.exit_code) == ("NO_BUNDLE", 2)
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "none", Path("/dev/zero")):
        with pytest.raises(HarnessError) as caught:
            read(path)
        assert caught.value.code == "NO_BUNDLE"


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "b.zip").open("wb") as file:
        file.truncate(archive.MOST_FILE_BYTES + 1)
    with pytest.raises(HarnessError, match="larger than 32 MiB"):
        read(tmp_path / "b.zip")


def test_a_report_with_odd_parts_is_shown_all_the_same() -> None:
    odd = BUNDLE.report.model_copy(
        update={"checks": {"roots": [{"id": "x"}], "checks": [1, {}]}, "status": {"services": [3]}}
    )
    assert "versions" in text.shown(Bundle(odd, {}))
    assert zlib.crc32(pack(Bundle(odd, {})))

"""What flows in is cut, staged and counted the same, however it arrives."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixpanel_data import ConfigError, StorageError, credentials
from mixpanel_data.local import inflow as _inflow
from mixpanel_data.local import load
from mixpanel_data.local.inflow import Inflow
from mixpanel_data.local.load import Loaded, Staging
from tests.support.examples import examples


def line(number: int, text: str = "", **properties: Any) -> bytes:
    given = {"time": 1_748_779_200_000 + number, "distinct_id": "u", "$insert_id": f"i{number}", **properties}
    return json.dumps({"event": "E", "properties": {**given, "text": text}}).encode() + b"\n"


@pytest.fixture
def staging(tmp_path: Path) -> Iterator[Staging]:
    with Staging(tmp_path) as made:
        yield made


def poured(staging: Staging, pieces: list[bytes]) -> Loaded:
    with Inflow(staging, staging.directory) as target:
        for piece in pieces:
            target.write(piece)
        return target.finish()


def ids(staging: Staging) -> list[str]:
    return [row[0] for row in staging.con.execute("select insert_id from staged order by rowid").fetchall()]


@examples(4, 8)
@given(
    cuts=st.lists(st.integers(0, 6000), max_size=12),
    bad=st.sets(st.integers(0, 39), max_size=8),
    blank=st.sets(st.integers(0, 39), max_size=5),
    ends=st.booleans(),
    spool_bytes=st.sampled_from([1, 300, 2000, 10**6]),
)
def test_it_does_not_matter_where_pieces_and_spools_end(
    tmp_path_factory: pytest.TempPathFactory,
    cuts: list[int],
    bad: set[int],
    blank: set[int],
    ends: bool,
    spool_bytes: int,
) -> None:
    lines = [b"bad %d\n" % number if number in bad else line(number) for number in range(40)]
    whole = b"".join((b"\n" if number in blank else b"") + text for number, text in enumerate(lines))
    whole = whole if ends else whole[:-1]
    places = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    with pytest.MonkeyPatch.context() as patch, Staging(tmp_path_factory.mktemp("flow")) as staging:
        patch.setattr(_inflow, "SPOOL_BYTES", spool_bytes)
        loaded = poured(staging, [whole[one:other] for one, other in itertools.pairwise(places)])
        assert ids(staging) == [f"i{number}" for number in range(40) if number not in bad]
        assert [path.name for path in staging.directory.iterdir() if path.name.startswith("spool")] == []
    assert (loaded.lines, loaded.rows, loaded.skipped) == (40, 40 - len(bad), len(bad))
    assert loaded.sample == tuple(f"bad {number}" for number in sorted(bad)[:5])
    assert loaded.last_line == ("bad 39" if 39 in bad else None)


def test_a_line_longer_than_what_is_read_at_a_time_is_read_too(
    staging: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "LONGEST_LINE", 1000)
    loaded = poured(staging, [line(1), line(2, "x" * 100_000), b"oops\n", line(3)])
    assert (loaded.rows, loaded.skipped) == (3, 1)
    assert ids(staging) == ["i1", "i2", "i3"]


@pytest.mark.parametrize("at_once", [1, 7, 10**6])
def test_copies_are_found_however_few_are_looked_at_at_once(
    staging: Staging, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(load, "EVENTS_AT_ONCE", at_once)
    lines = [line(n, mp_processing_time_ms=copy, copy=copy) for copy in (2, 3, 1) for n in range(20)]
    loaded = poured(staging, lines)
    assert (loaded.rows, loaded.duplicates) == (20, 40)
    kept = staging.con.execute("select distinct properties->>'copy' from staged").fetchall()
    assert kept == [("3",)]


def test_a_new_attempt_forgets_the_one_before(staging: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_inflow, "SPOOL_BYTES", 300)
    with Inflow(staging, staging.directory) as target:
        target.write(b"".join(line(n) for n in range(20)) + b"oops\n" + line(20))
        assert target.seekable()
        assert target.tell() == 0
        target.seek(0)
        target.truncate()
        target.write(line(5) + line(6))
        loaded = target.finish()
    assert loaded == Loaded(lines=2, rows=2, duplicates=0, skipped=0, sample=(), last_line=None)
    assert ids(staging) == ["i5", "i6"]


def test_what_goes_wrong_while_staging_is_told_to_who_writes(staging: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "_STAGE", "select error('the disk is full')")
    monkeypatch.setattr(_inflow, "SPOOL_BYTES", 10)
    with pytest.raises(StorageError, match="the disk is full"):
        poured(staging, [line(number) for number in range(20)])


@pytest.mark.parametrize("text", ["63", "0", "-1", "1GB", "many", "1e3"])
def test_memory_is_a_number_of_megabytes(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("MP_FETCH_MEMORY_MB", text)
    with pytest.raises(ConfigError, match="MP_FETCH_MEMORY_MB"):
        credentials.fetch_memory_mb()


def test_memory_is_bounded_by_the_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert credentials.fetch_memory_mb() == 256
    monkeypatch.setenv("MP_FETCH_MEMORY_MB", "64")
    with Staging(tmp_path, credentials.fetch_memory_mb()) as staging:
        limit = staging.con.execute("select current_setting('memory_limit')").fetchone()
        assert limit == ("61.0 MiB",)

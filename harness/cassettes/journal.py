"""A recording that goes on: what was asked so far, on disk after every answer, so that a kill loses the call under way.

A session is a private directory. In it are one journal a case, a line of JSON for each request with its answer, and the
tapes that are made of them; a line is written at once or, after a kill, has no end and is dropped. Nobody is replaced
by a stand-in yet, since what was told has to be asked with again; credentials never get here.
"""

import json
import os
import shutil
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pydantic

from harness import clock
from harness.cassettes import canonical, tape, written
from harness.cassettes.tape import Interaction, Target
from harness.errors import HarnessError

HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class About:
    """What a session records of.

    clock: the instant at which the clock stands for all of its tapes, however often it is gone on with
    data: what the emulator serves; None for live Mixpanel
    """

    target: Target
    clock: str
    region: str
    data: dict[str, Any] | None = field(default=None)


_ABOUT: pydantic.TypeAdapter[About] = pydantic.TypeAdapter(About)


class Session:
    """The directory of one recording.

    Args:
        directory: private to it; made when something is begun
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.tapes = directory / "tapes"

    def about(self) -> About | None:
        """What it records of; None where nothing was begun.

        Raises:
            HarnessError: SESSION_UNREADABLE
        """
        file = self.directory / "session.json"
        try:
            return _ABOUT.validate_json(file.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise HarnessError(
                "SESSION_UNREADABLE", f"{file} cannot be read", fix="begin anew: harness record --anew"
            ) from error

    def begin(self, about: About) -> None:
        """Start one, with nothing in it."""
        self.forget()
        with written.writing(self.directory):
            self.directory.mkdir(mode=0o700, parents=True)
        written.replace(self.directory / "session.json", json.dumps(asdict(about)).encode())

    def forget(self) -> None:
        """Remove it, and all that was asked."""
        if self.directory.exists():
            shutil.rmtree(self.directory)

    def journal(self, case: str, *, apart: bool = False) -> "Journal":
        """The journal of a case.

        Args:
            apart: its answers are not those of a Mixpanel that is well, and answer for no other case
        """
        return Journal(tape.place(self.directory / ("apart" if apart else "journals"), case).with_suffix(".jsonl"))

    def known(self) -> dict[str, Interaction]:
        """The good answers of all cases so far, by the request's key."""
        files = sorted((self.directory / "journals").glob("*/*.jsonl"))
        every = (each for file in files for each in Journal(file).read())
        return {canonical.key(each.asked): each for each in every if canonical.is_good(each.answer)}

    def sent(self) -> "Sent":
        """What was sent to live Mixpanel from this directory's side, by this session and by those before it."""
        return Sent(self.directory.parent / "sent")


class Journal:
    """The requests of one case with their answers, in the order in which the answers came."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def read(self) -> list[Interaction]:
        """All that was written whole; the piece of a line that a kill left is taken away."""
        try:
            data = self._file.read_bytes()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) != len(data):
            os.truncate(self._file, len(whole))
        try:
            return [written.interaction(json.loads(line)) for line in whole.splitlines()]
        except (ValueError, RecursionError) as error:
            raise HarnessError(
                "JOURNAL_UNREADABLE",
                f"{self._file} is not what a recording writes",
                fix="begin anew: harness record --anew",
            ) from error

    def append(self, interaction: Interaction) -> None:
        """Add one, in one write.

        Raises:
            HarnessError: NOT_WRITTEN (exit 2)
        """
        with written.writing(self._file):
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _append(self._file, json.dumps(written.interaction_value(interaction)).encode() + b"\n")

    def clear(self) -> None:
        """Take all of it away."""
        self._file.unlink(missing_ok=True)


class Sent:
    """When which kind of call was sent to live Mixpanel: what an hour's budget goes by, also across kills."""

    def __init__(self, file: Path) -> None:
        self._file = file
        lines = file.read_text().splitlines() if file.exists() else []
        entries = [line.split(" ") for line in lines]
        self._at = [(float(entry[0]), entry[1]) for entry in entries if len(entry) == 2]

    def note(self, rate: str) -> None:
        """One is about to be sent."""
        at = clock.now().timestamp()
        with written.writing(self._file):
            _append(self._file, f"{at:.3f} {rate}\n".encode())
        self._at.append((at, rate))

    def within_the_hour(self, rates: Collection[str]) -> list[float]:
        """When calls of these kinds were sent within the last hour, seconds since 1970, the oldest first."""
        since = clock.now().timestamp() - HOUR_S
        self._at = [entry for entry in self._at if entry[0] > since]
        return [at for at, rate in self._at if rate in rates]


def _append(file: Path, line: bytes) -> None:
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        rest = memoryview(line)
        while rest:
            rest = rest[os.write(handle, rest) :]
    finally:
        os.close(handle)

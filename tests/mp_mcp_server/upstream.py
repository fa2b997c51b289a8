"""What a server asked of Mixpanel, read from the emulator's own list, which keeps the latest requests only."""

import json

from tests.support.emulator import Emulator


class Upstream:
    """What was asked since it was made."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._before = max((request["at"] for request in emulator.requests()), default="")

    def asked(self) -> list[tuple[str, str]]:
        """Path and parameters of each question, in order."""
        return [
            (one["path"].rpartition("/")[2], json.dumps([one.get("query"), one.get("body")], sort_keys=True))
            for one in self._emulator.requests()
            if one["at"] > self._before
        ]

    def paths(self) -> list[str]:
        """The ends of the paths alone."""
        return [path for path, _ in self.asked()]

"""Switch and restore in processes that can be killed at a named point: forked from one that has imported all already.

python -m tests.support.switching      # a JSON line in, a JSON line out
"""

import importlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import Exit, HarnessError
from harness.nginx import report, root, sites, transaction
from harness.nginx.find import Address


@dataclass(frozen=True)
class Outcome:
    """How one deed ended: what it returned, or its error's envelope with its exit code, or neither when killed."""

    done: dict[str, Any] | None
    error: dict[str, Any] | None

    @property
    def killed(self) -> bool:
        return self.done is None and self.error is None


class Switching:
    """The other side of the pipe."""

    def __init__(self, process: "subprocess.Popen[str]", state: Path, binary: Path, uid: int | None = None) -> None:
        self._process, self.state, self._binary, self._uid = process, state, binary, uid

    def switch(
        self, site: Path | None, to: str, *, source: str, fault: str | None = None, largest: int | None = None
    ) -> Outcome:
        """`harness nginx switch --site SITE --to TO --from SOURCE`; no file may become larger than `largest` bytes."""
        site_text = str(site) if site else None
        return self._ask(deed="switch", site=site_text, to=to, source=source, fault=fault, largest=largest)

    def restore(self, fault: str | None = None) -> Outcome:
        """`harness nginx restore`."""
        return self._ask(deed="restore", fault=fault)

    def down(self) -> Outcome:
        """What `harness down` does about nginx, where nobody can be asked."""
        return self._ask(deed="down", fault=None)

    def as_user(self, uid: int) -> "Switching":
        """The same as another user; for root only."""
        return Switching(self._process, self.state, self._binary, uid)

    def _ask(self, **job: Any) -> Outcome:
        assert self._process.stdin
        assert self._process.stdout
        always = {"state": str(self.state), "binary": str(self._binary), "uid": self._uid}
        self._process.stdin.write(json.dumps({**job, **always}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return Outcome(answer.get("done"), answer.get("error"))


@contextmanager
def switching(state: Path, binary: Path) -> Iterator[Switching]:
    """A process that switches and restores on request, each time in a child of its own."""
    command = [sys.executable, "-m", "tests.support.switching"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Switching(process, state, binary)
        assert process.stdin
        process.stdin.close()


def _do(job: dict[str, Any]) -> dict[str, Any]:
    state, binary = Path(job["state"]), Path(job["binary"])

    def as_root(why: str) -> None:
        root.run_or_refuse(root.command(state, job["deed"]), why, ask=False, exit_code=Exit.CONFLICT)

    try:
        if job["deed"] == "restore":
            done = transaction.restore(state, as_root=as_root)
        elif job["deed"] == "down":
            done = transaction.restore_for_down(state, ask=False)
        else:
            site = Path(job["site"]) if job["site"] else None
            sources = [Address.parse(job["source"])]
            to = Address.parse(job["to"])
            done = transaction.switch(state, lambda: sites.look(site, binary), to, sources, as_root=as_root)
    except HarnessError as error:
        return {"error": {**error.to_dict(), "exit_code": int(error.exit_code)}}
    return {"done": report.done(done)}


def _serve() -> None:
    # Loaded late elsewhere; a child that is another user may not enter the directory where it stands.
    for name in ("crossplane", "encodings.idna", "pwd"):
        importlib.import_module(name)
    for line in sys.stdin:
        job = json.loads(line)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            if job["uid"] is not None:
                os.setgroups([])
                os.setgid(job["uid"])
                os.setuid(job["uid"])
            if job.get("largest") is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (job["largest"], job["largest"]))
            os.environ["HARNESS_FAULT_POINT"] = job["fault"] or "none"
            os.write(writing, json.dumps(_do(job)).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as answer:
            text = answer.read().decode()
        os.waitpid(child, 0)
        sys.stdout.write((text or "{}") + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()

"""What only root may do: named as one command, asked for on a terminal, and never done in secret."""

import os
import shlex
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.errors import Exit, HarnessError
from harness.nginx import root
from tests.support.ports import free_port
from tests.support.real_nginx import BINARY, configuration, upstream
from tests.support.switching import Outcome, switching

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


@needs_root
def test_a_file_of_roots_is_left_to_one_command_that_says_all() -> None:
    # pytest's own directories are closed to everybody else.
    with tempfile.TemporaryDirectory() as name, upstream("minikube") as old, upstream("copilot") as new:
        base = Path(name)
        base.chmod(0o755)
        state = base / "state"
        state.mkdir(mode=0o700)
        os.chown(state, NOBODY, NOBODY)
        with configuration(base / "nginx") as nginx, switching(state, BINARY) as harness:
            site = nginx.directory / "sites-enabled" / "spark"
            before = f"server {{ listen 127.0.0.1:{free_port()}; location / {{ proxy_pass http://127.0.0.1:{old}; }} }}"
            site.write_text(before)
            nginx.start()
            theirs = harness.as_user(NOBODY)

            def switch(as_whom: object) -> Outcome:
                chosen = harness if as_whom is harness else theirs
                return chosen.switch(site, f"127.0.0.1:{new}", source=f"127.0.0.1:{old}")

            refused = switch(theirs)
            assert refused.error
            assert (refused.error["code"], refused.error["exit_code"]) == ("NEEDS_ROOT", Exit.CONFLICT)
            assert str(site) in refused.error["cause"]
            assert f"sudo env -C / HARNESS_STATE_DIR={state}" in refused.error["fix"]
            assert site.read_text() == before
            # What sudo would do: root, on the user's own state directory.
            assert switch(harness).done
            kept = [path.stat() for path in (state / "nginx-switch").rglob("*")]
            assert {each.st_uid for each in kept} == {NOBODY}
            left = theirs.down()
            assert left.error
            assert (left.error["code"], left.error["exit_code"]) == ("NEEDS_ROOT", Exit.UNDO_INCOMPLETE)
            assert left.error["fix"].endswith("nginx restore")
            assert site.read_text() != before
            assert harness.restore().done
            assert site.read_text() == before
            nothing = theirs.down()
            assert nothing.done
            assert nothing.done["deed"] == "nothing"


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch, answer: str) -> Iterator[list[str]]:
    """A terminal on which somebody types an answer; collects what was written to it."""
    ours, theirs = os.openpty()
    shown: list[str] = []

    def read() -> None:
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:
                return
            shown.append(piece.decode())

    with os.fdopen(os.dup(theirs)) as keyboard, os.fdopen(os.dup(theirs), "w") as screen:
        os.close(theirs)
        monkeypatch.setattr(sys, "stdin", keyboard)
        monkeypatch.setattr(sys, "stderr", screen)
        os.write(ours, answer.encode() + b"\n")
        thread = threading.Thread(target=read)
        thread.start()
        yield shown
        monkeypatch.undo()
    thread.join()
    os.close(ours)


@pytest.mark.parametrize("answer", ["y", "YES"])
def test_with_consent_on_a_terminal_it_is_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: str) -> None:
    made = tmp_path / "made here"
    argv = ("touch", str(made))
    with terminal(monkeypatch, answer) as shown:
        root.run_or_refuse(argv, "it is root's", ask=True, exit_code=Exit.CONFLICT)
    assert made.exists()
    assert "it is root's" in "".join(shown)
    assert shlex.join(argv) in "".join(shown)


@pytest.mark.parametrize("answer", ["n", "", "yesterday"])
def test_without_consent_it_is_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: str) -> None:
    made = tmp_path / "made"
    with terminal(monkeypatch, answer), pytest.raises(HarnessError) as refused:
        root.run_or_refuse(("touch", str(made)), "it is root's", ask=True, exit_code=Exit.CONFLICT)
    assert refused.value.code == "NEEDS_ROOT"
    assert not made.exists()


def test_a_program_is_never_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = tmp_path / "made"
    with terminal(monkeypatch, "y") as shown, pytest.raises(HarnessError) as refused:
        root.run_or_refuse(("touch", str(made)), "it is root's", ask=False, exit_code=Exit.UNDO_INCOMPLETE)
    assert (refused.value.exit_code, refused.value.fix) == (Exit.UNDO_INCOMPLETE, f"run: touch {made}")
    assert not made.exists()
    assert "Run this" not in "".join(shown)


def test_what_it_could_not_do_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch, "y"), pytest.raises(HarnessError) as failed:
        root.run_or_refuse(("sh", "-c", "exit 5"), "it is root's", ask=True, exit_code=Exit.UNDO_INCOMPLETE)
    assert (failed.value.code, failed.value.exit_code) == ("ROOT_FAILED", Exit.CONFLICT)


def test_a_machine_without_sudo_is_told_the_command_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch, "y"), pytest.raises(HarnessError) as refused:
        root.run_or_refuse(("sudo-is-not-here", "a b"), "it is root's", ask=True, exit_code=Exit.CONFLICT)
    assert refused.value.fix == "run: sudo-is-not-here 'a b'"

"""`up --attach`: a stack that lives as long as its terminal, with every service's lines as they come."""

import os
import select
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from harness import clock, output
from harness.errors import Exit, HarnessError
from harness.progress import Lines
from harness.settings import Settings
from harness.stack import logs, look, processes
from harness.stack.down import down
from harness.stack.plan import Condition
from harness.stack.service import Service
from harness.stack.state import Stack, StateDirectory, as_json
from harness.stack.up import LOCK_WAIT_S, Wish, up
from harness.terminal import harmless

LOOK_EVERY_S = 0.2
COLOURS = (36, 35, 32, 33, 34, 31)
"""Of the terminal's own palette, so that they suit a light ground and a dark one."""


class _Screen:
    """Standard output, to which several threads write whole lines.

    gone: nobody reads any more
    over: whoever reads is not waited for any longer, should they have stopped to
    """

    def __init__(self, services: Sequence[Service], environment: Mapping[str, str], *, json: bool) -> None:
        names = [service.name for service in services]
        self._json = json
        self._width = max(len(name) for name in names)
        self._colour = {name: COLOURS[at % len(COLOURS)] for at, name in enumerate(names)}
        coloured = os.isatty(1) and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
        self._coloured = coloured and not json
        self.gone, self.over = threading.Event(), threading.Event()
        self._lock = threading.Lock()

    def show(self, service: str, line: str) -> None:
        """One line of a service, behind its name."""
        head = f"{service:<{self._width}} |"
        if self._coloured:
            head = f"\x1b[{self._colour[service]}m{head}\x1b[0m"
        self.put({"service": service, "line": line}, f"{head} {harmless(line)}")

    def put(self, value: Any, text: str) -> None:
        """The value for a program, or the text for a person."""
        said = as_json(value) if self._json else text
        rest = memoryview(f"{said}\n".encode(sys.stdout.encoding, "backslashreplace"))
        try:
            with self._lock:
                while rest and self._has_room():
                    rest = rest[os.write(1, rest[: select.PIPE_BUF]) :]
        except OSError:
            # The terminal or the reader of a pipe has gone: as good as its Ctrl-C.
            self.gone.set()

    def _has_room(self) -> bool:
        """Wait until so much can be written at once; whether it can."""
        while not self.gone.is_set():
            if select.select([], [1], [], LOOK_EVERY_S)[1]:
                return True
            if self.over.is_set():
                # Nor is anything that would be shown after this.
                self.gone.set()
        return False


def attach(settings: Settings, services: Sequence[Service], wish: Wish, *, json: bool) -> Exit:
    """Bring a stack up and show what it writes until Ctrl-C, the terminal's end or the end of its last service.

    Returns:
        INTERRUPTED after everything was taken down, FAILED when every service had died
    """
    state = StateDirectory(settings.state_dir)
    screen = _Screen(services, settings.environment, json=json)
    told = Lines(sys.stderr)
    following = threading.Event()
    writer = threading.Thread(target=_follow, args=(state, services, screen, following), name="harness-lines")
    with processes.ending_by_signal():
        try:
            state.prepare()
            writer.start()
            # Where each log stands has to be known before a service writes its first line.
            following.wait()
            result = up(settings, services, wish, progress=told)
            shown = result.to_dict()
            screen.put(shown, output.up_text(shown, settings.values.stack.name))
            code = _watch(state, result.stack, told, screen)
        except KeyboardInterrupt:
            code = Exit.INTERRUPTED
        except OSError:
            if not screen.gone.is_set():
                raise
            code = Exit.INTERRUPTED
        finally:
            screen.over.set()
            _await(writer)
        # Lines of its own: each service has something to say once more.
        _end(settings, state, services, Lines(sys.stderr))
    return code


def _follow(
    state: StateDirectory,
    services: Sequence[Service],
    screen: _Screen,
    following: threading.Event,
) -> None:
    def ends() -> bool:
        following.set()
        return screen.over.is_set()

    for service, line in logs.follow(state, [service.name for service in services], ends=ends):
        if not screen.gone.is_set():
            screen.show(service, line)


def _await(writer: threading.Thread) -> None:
    """Wait for its end, whatever is pressed meanwhile: what is to be taken down would be left behind."""
    while writer.is_alive():
        with suppress(KeyboardInterrupt):
            writer.join()


def _watch(state: StateDirectory, stack: Stack, told: Lines, screen: _Screen) -> Exit:
    """Tell who dies, until nobody lives or nobody listens."""
    living = dict(stack.members)
    while not screen.gone.is_set():
        for name, member in list(living.items()):
            if look.condition(member) is Condition.DIED:
                told.note(f"{name} died: {look.how_it_died(state, name, member)}")
                del living[name]
        if stack.members and not living:
            return Exit.FAILED
        clock.sleep(LOOK_EVERY_S)
    return Exit.INTERRUPTED


def _end(settings: Settings, state: StateDirectory, services: Sequence[Service], told: Lines) -> None:
    """Take all down; whoever asks a second time does not want to wait for anybody's grace."""
    grace_s = settings.values.stack.grace_s
    while True:
        try:
            down(state, services, grace_s=grace_s, deadline_s=LOCK_WAIT_S, progress=told)
        except KeyboardInterrupt:
            if grace_s == 0.0:
                raise
            grace_s = 0.0
        except HarnessError as error:
            if error.exit_code is not Exit.NOT_RUNNING:
                raise
            return
        else:
            return

"""Moments at which a command may be cut down, by name: what a kill at each of them leaves behind is tried by the tests.

HARNESS_FAULT_POINT=up.spawned harness up      # the command kills itself there
HARNESS_FAULT_POINT=up.spawned:2 harness up    # at the second time
"""

POINTS: dict[str, str] = {
    "up.locked": "the stack is held, nothing is looked at yet",
    "up.planned": "it is decided what to do, nothing is done",
    "up.written": "the stack has a run id on disk, and no process yet",
    "up.spawned": "a service runs, and nothing of it is written down",
    "up.recorded": "a service runs and is written down, and has not answered yet",
    "up.answered": "a service has answered, and that is not written down yet",
    "up.ready": "a service has answered, and that is written down",
    "down.locked": "the stack is held, nothing is ended yet",
    "down.signalled": "processes have been asked to end, and may still live",
    "down.ended": "a service has ended, and still stands in the state",
    "down.freed": "every process is gone and every port free, and the state still there",
    "down.forgotten": "the state is gone",
    "nginx.switch.begun": "the journal is held, nothing is written yet",
    "nginx.switch.originals_kept": "the files' contents are kept, and no journal tells of them yet",
    "nginx.switch.journal_written": "the journal tells what is about to change, and nothing has changed",
    "nginx.switch.prepared": "a file's new content stands beside it",
    "nginx.switch.put": "a file is changed, others may not be",
    "nginx.switch.tested": "nginx takes the changed files, and still runs with the old ones",
    "nginx.switch.reloaded": "nginx has been asked to reload, and has not been heard yet",
    "nginx.switch.proved": "nginx follows, and that is not written down yet",
    "nginx.switch.closed": "the switch is written down as done",
    "nginx.restore.begun": "nothing is put back yet",
    "nginx.restore.prepared": "a file's old content stands beside it",
    "nginx.restore.put": "a file is as it was, others may not be",
    "nginx.restore.reloaded": "nginx follows, and the journal is still open",
    "nginx.restore.closed": "the journal is gone, the kept contents are not",
}
"""Every point with what holds at it; a row of its own for each call of `reach` in the code."""

_reached: dict[str, int] = {}


def reach(name: str) -> None:
    """Pass a point; a process whose HARNESS_FAULT_POINT names it kills itself here, as `kill -9` would."""
    from harness.settings import fault_point

    wanted = fault_point()
    if wanted is None:
        return
    point, _, time = wanted.partition(":")
    _reached[name] = _reached.get(name, 0) + 1
    if point == name and _reached[name] == int(time or 1):
        from harness.stack.processes import kill_this_one

        kill_this_one()

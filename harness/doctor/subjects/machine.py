"""What the machine has left, and what the services wrote."""

import re
from pathlib import Path

from harness.doctor.check import Finding, bad, doubtful, good, unused
from harness.doctor.known_issues import Weight
from harness.doctor.log_scan import scan_run
from harness.doctor.sight import Sight
from harness.stack import look

LEAST_FILES = 512
LEAST_MEMORY, SCARCE_MEMORY = 256 << 20, 768 << 20
_LIMIT = re.compile(r"^Max open files\s+(\d+|unlimited)", re.MULTILINE)
_AVAILABLE = re.compile(r"^MemAvailable:\s+(\d+) kB", re.MULTILINE)


def files(sight: Sight) -> Finding:
    """How many files the server's process may have open: each client is one."""
    member = sight.member("mcp")
    pid = str(member.process.pid) if member is not None else "self"
    try:
        found = _LIMIT.search(Path("/proc", pid, "limits").read_text())
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return unused("the server's limits cannot be read")
    if found is None or found[1] == "unlimited":
        return good("as many files as it likes")
    whose = "the server" if member is not None else "this shell"
    if int(found[1]) < LEAST_FILES:
        what = f"{whose} may have {found[1]} files open, and every client is one"
        return doubtful(
            "FEW_FILES", what, f"ulimit -n {LEAST_FILES * 2}, then: harness restart mcp", limit=int(found[1])
        )
    return good(f"{whose} may have {found[1]} files open", limit=int(found[1]))


def memory(_: Sight) -> Finding:
    """The memory that the kernel could give to programs now."""
    found = _AVAILABLE.search(Path("/proc/meminfo").read_text())
    if found is None:
        return unused("the kernel does not say")
    free = int(found[1]) << 10
    told = f"{free / (1 << 30):.1f} GiB of memory are available"
    fix = "end what needs much; take a smaller data set: harness up --fresh --users 2000"
    if free < LEAST_MEMORY:
        return bad("NO_MEMORY", told, fix, available_bytes=free)
    return doubtful("LITTLE_MEMORY", told, fix, available_bytes=free) if free < SCARCE_MEMORY else good(told)


def known_issues(sight: Sight) -> Finding:
    """The logs of this run, and those that the settings name, against the known issues."""
    named = {name: path for name, path in sight.settings.values.logs if path is not None}
    own = [service.name for service in sight.services if sight.member(service.name) is not None]
    if not own and not named:
        return unused("there are no logs of this run")
    faults = [found for found in scan_run(sight.state, own, named) if found.weight is Weight.FAULT]
    removed = [name for name in look.without_a_log(sight.state) if name not in named]
    if removed and not faults:
        what = f"the log of {', '.join(removed)} was removed while it runs, and what it writes is lost"
        return doubtful("LOG_REMOVED", what, f"begin a new one: harness restart {' '.join(removed)}")
    if not faults:
        return good(f"no known fault in the logs of {', '.join([*own, *named])}")
    first = faults[0]
    what = "; ".join(f"{each.issue.title} ({each.service}, line {each.number}, {each.count} ×)" for each in faults)
    return doubtful(
        "KNOWN_ISSUE",
        what,
        first.issue.solution,
        blames=tuple(dict.fromkeys(each.issue.check for each in faults)),
        issues=[each.issue.id for each in faults],
    )

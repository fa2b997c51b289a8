"""`harness creds`: everything about the four, as one value."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.creds import form, shell_files, trying
from harness.creds.form import Problem
from harness.creds.shell_files import Unloaded
from harness.creds.trying import Tried, Verdict
from harness.errors import Exit
from harness.stack.services import CREDENTIALS


@dataclass(frozen=True, slots=True)
class Report:
    """What was found.

    present: which of the four are set
    problems: what is wrong with their form
    unloaded: what the shell's start files say of them and this shell has not so
    tried: the real call; None where something is missing or malformed, so that there was nothing to try
    """

    present: tuple[str, ...]
    problems: tuple[Problem, ...]
    unloaded: tuple[Unloaded, ...]
    tried: Tried | None

    @property
    def exit_code(self) -> Exit:
        """Good when Mixpanel accepts them; where it could not be asked, nothing was checked."""
        if self.tried is None:
            return Exit.CREDENTIALS
        if self.tried.verdict is Verdict.ACCEPTED:
            return Exit.GOOD
        if self.tried.verdict in {Verdict.NO_ANSWER, Verdict.RATE_LIMITED, Verdict.FAILED}:
            return Exit.COULD_NOT_CHECK
        return Exit.CREDENTIALS

    def to_dict(self) -> dict[str, Any]:
        """The same for programs."""
        unloaded = [{**asdict(each), "file": str(each.file), "what": str(each)} for each in self.unloaded]
        return {"good": self.exit_code is Exit.GOOD, **asdict(self), "unloaded": unloaded}

    def text(self) -> str:
        """The same for a person."""
        wrong = {problem.variable: problem for problem in self.problems}
        lines = []
        for name in CREDENTIALS:
            problem = wrong.get(name)
            lines.append(f"✗ {problem.cause}" if problem else f"✓ {name} is set and well formed")
            lines += [f"    fix: {problem.fix}"] if problem else []
        for each in self.unloaded:
            lines += [f"! {each}", f"    fix: {remedy(each)}"]
        if self.tried is None:
            lines.append("– Mixpanel was not asked: the four have to be there first")
        elif self.tried.verdict is Verdict.ACCEPTED:
            lines.append(f"✓ {self.tried.cause}; the project has {self.tried.events} event names")
        else:
            lines += [f"✗ {self.tried.cause} [{self.tried.verdict}]", f"    fix: {self.tried.fix}"]
        return "\n".join(lines)


def report(environment: Mapping[str, str], home: Path) -> Report:
    """Look at the four variables, at the start files of a home directory, and ask Mixpanel."""
    problems = form.problems(environment)
    tried = None if any(problem.code != "NO_SERVICE_ACCOUNT" for problem in problems) else trying.try_out(environment)
    if tried is not None and tried.verdict is Verdict.ACCEPTED:
        # Mixpanel's own word counts for more than the form of a name.
        problems = ()
    present = tuple(name for name in CREDENTIALS if environment.get(name, "").strip())
    return Report(present, problems, shell_files.unloaded(home, environment), tried)


def remedy(unloaded: Unloaded) -> str:
    """What brings a variable of a start file into the shell."""
    if unloaded.how == "not exported":
        return f"write export {unloaded.variable}=… there, then: source {unloaded.file}"
    if unloaded.how == "another value":
        return f"if the file is right: source {unloaded.file}"
    return f"source {unloaded.file}, or open a new shell"

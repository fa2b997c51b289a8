"""The coverage matrix: 39 tools × what can happen, and what is missing or no longer true in it."""

from collections import Counter
from collections.abc import Mapping, Sequence

from harness.suite.case import REQUIRED, Case, Exemption, Kind
from harness.suite.reasons import REASONS
from mp_mcp_server.catalogue import TOOLS, ToolSpec


def matrix(cases: Sequence[Case]) -> dict[str, Counter[Kind]]:
    """Tool → kind → number of cases, every tool of the catalogue in its order."""
    found: dict[str, Counter[Kind]] = {spec.name: Counter() for spec in TOOLS}
    for case in cases:
        found.setdefault(case.tool, Counter())[case.kind] += 1
    return found


def faults(cases: Sequence[Case], exemptions: Sequence[Exemption]) -> list[str]:
    """What is wrong with the matrix, a sentence each; nothing when it is whole.

    A tool without a case, a case without a tool, two cases of one name; a kind that a tool has neither case nor
    exemption of; an exemption without a reason, with one that is not true, or beside a case.
    """
    specs = {spec.name: spec for spec in TOOLS}
    counted = matrix(cases)
    exempt = {(exemption.tool, exemption.kind): exemption for exemption in exemptions}
    found = [f"{name}: there is no such tool" for name in counted if name not in specs]
    found += [f"{name}: two cases" for name, number in Counter(case.id for case in cases).items() if number > 1]
    found += [
        f"{exemption.tool}, {exemption.kind.value}: exempt twice"
        for key, exemption in exempt.items()
        if sum((other.tool, other.kind) == key for other in exemptions) > 1
    ]
    for name in specs:
        for kind in REQUIRED:
            there, exemption = counted[name][kind], exempt.get((name, kind))
            if not there and exemption is None:
                found.append(f"{name}, {kind.value}: neither a case nor an exemption")
            if there and exemption is not None:
                found.append(f"{name}, {kind.value}: an exemption that is no longer needed")
    for exemption in exemptions:
        found += _untrue(exemption, specs)
    return found


def _untrue(exemption: Exemption, specs: Mapping[str, ToolSpec]) -> list[str]:
    where = f"{exemption.tool}, {exemption.kind.value}"
    if exemption.tool not in specs:
        return [f"{where}: an exemption of a tool that is not there"]
    if exemption.reason not in REASONS:
        return [f"{where}: {exemption.reason!r} is no reason that can be held against the catalogue"]
    if not REASONS[exemption.reason](specs[exemption.tool]):
        return [f"{where}: it is not true that it {exemption.reason}"]
    return []

"""CASES: every case of every tool, and the reasons why some tools have none of some kind.

A category of tools is a module of its own; what can go wrong at Mixpanel alike for all is in `upstream`.
"""

from harness.suite.case import Case, Exemption
from harness.suite.cases import composed, discovery, fetch, intelligent, interactive, live, local, optional, upstream

CASES: tuple[Case, ...] = (
    *discovery.CASES,
    *live.CASES,
    *fetch.CASES,
    *local.CASES,
    *intelligent.CASES,
    *composed.CASES,
    *interactive.CASES,
    *optional.CASES,
    *upstream.CASES,
)

EXEMPTIONS: tuple[Exemption, ...] = (
    *discovery.EXEMPTIONS,
    *live.EXEMPTIONS,
    *fetch.EXEMPTIONS,
    *local.EXEMPTIONS,
    *intelligent.EXEMPTIONS,
    *composed.EXEMPTIONS,
    *interactive.EXEMPTIONS,
    *upstream.EXEMPTIONS,
)

"""A bundle for reading: the findings first, then what they rest on."""

from collections.abc import Mapping
from typing import Any

from harness.bundle.archive import Bundle


def shown(bundle: Bundle) -> str:
    """A page about a bundle, nothing of which can move the terminal's cursor."""
    report = bundle.report
    lines = [f"made       {report.made_at}", f"versions   {_pairs(report.versions)}"]
    if report.settings_error:
        lines.append(f"settings   cannot be read: {report.settings_error.get('cause')}")
    said = [row for row in report.settings if row.get("source") != "default"]
    lines += [f"setting    {row.get('name')} = {row.get('shown')}  ({row.get('source')})" for row in said]
    lines += [_service(row) for row in report.status.get("services", []) if isinstance(row, dict)]
    lines += [
        f"port       {row.port} of {row.service}: {row.state} {row.holder or ''}".rstrip() for row in report.ports
    ]
    lines += _checks(report.checks or {})
    lines += [f"log shows  {row.get('id')}: {row.get('title')} ({row.get('weight')})" for row in report.known_issues]
    lines += [
        f"log        {row.name}, {row.bytes:,} bytes{'' if row.whole else ', its last lines'}" for row in report.logs
    ]
    lines += [f"note       {note}" for note in report.notes]
    return safe("\n".join(lines))


def safe(text: str) -> str:
    """The text without what a terminal would obey."""
    return "".join(c if c in "\n\t" or c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _pairs(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _service(row: Mapping[str, Any]) -> str:
    ready = f", ready in {row['ready_s']} s" if row.get("ready_s") is not None else ""
    how = f": {row['how']}" if row.get("how") else ""
    return f"service    {row.get('name')} {row.get('state')}{ready}{how}"


def _checks(checks: Mapping[str, Any]) -> list[str]:
    by_id = {row["id"]: row for row in checks.get("checks", []) if isinstance(row, dict) and "id" in row}
    roots = [by_id[root["id"]] for root in checks.get("roots", []) if root.get("id") in by_id]
    lines = [f"root       {row['id']}: {row.get('what')}" for row in roots]
    counts = checks.get("counts", {})
    return [*lines, f"checks     {', '.join(f'{count} {state}' for state, count in counts.items() if count)}"]

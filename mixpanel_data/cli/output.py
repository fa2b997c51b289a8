"""How commands show what they found: data to stdout, everything else to stderr."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import Any


class Format(StrEnum):
    """The forms in which a result can be shown."""

    JSON = "json"


def show(value: Any, _format: Format = Format.JSON) -> None:
    """Print a JSON-ready value on stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def complain(cause: str, fix: str | None) -> None:
    """Print what went wrong, and what helps, on stderr."""
    sys.stderr.write(f"error: {cause}\n" + (f"  fix: {fix}\n" if fix else ""))

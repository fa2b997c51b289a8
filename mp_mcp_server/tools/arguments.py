"""The kinds of argument that several tools share, with the checks and the schema words a model sees."""

import re
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TABLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]*")


def _a_day(text: str) -> str:
    # date.fromisoformat alone would also take 20250630 and 2025-W27-1, which Mixpanel does not
    problem = f"{text[:40]!r} is not a day of the calendar; write it as YYYY-MM-DD, for example 2025-06-30"
    if not _DAY.fullmatch(text):
        raise ValueError(problem)
    try:
        date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(problem) from error
    return text


def _a_table(text: str) -> str:
    if not _TABLE.fullmatch(text):
        raise ValueError(
            f"invalid table name {text[:40]!r}: letters, digits and underscores, no underscore first; list_tables "
            "names those that are there"
        )
    return text


Day = Annotated[str, AfterValidator(_a_day), Field(json_schema_extra={"format": "date"})]
Name = Annotated[str, Field(min_length=1)]
Names = Annotated[list[Name], Field(min_length=1)]
Table = Annotated[str, AfterValidator(_a_table)]
Unit = Literal["minute", "hour", "day", "week", "month"]
LongUnit = Literal["day", "week", "month"]
CountType = Literal["general", "unique", "average"]

"""Where a store is; what the rest of the library hands on without looking into it.

A place is a file, or the memory of this process. `store` alone knows how to open one, so that a further kind is a
matter of this module and that one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from mixpanel_data.local.door import Door
    from mixpanel_data.local.store import Connection


class Memory:
    """A store in the memory of this process, there for as long as this object is not closed.

    instance: the engine's own, from the first use on
    door: who is at it
    """

    def __init__(self) -> None:
        self.instance: Connection | None = None
        self.door: Door | None = None

    def __str__(self) -> str:
        return "in memory"

    def close(self) -> None:
        """Forget the tables; closing twice is fine."""
        instance, self.instance = self.instance, None
        if instance is not None:
            instance.close()


Place: TypeAlias = Path | Memory

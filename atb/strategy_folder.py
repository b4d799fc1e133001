"""The folder of strategies outside this package: set by the edge of the program, read by the register of strategies.

A module of its own that imports nothing, because both sides import it: the settings lie above the register of strategies, which is
part of the core and may know neither settings nor files.
"""

from collections.abc import Callable, Sequence
from typing import Protocol


class StrategyFolder(Protocol):
    """A folder of files, each of which defines one strategy."""

    @property
    def path(self) -> str:
        """Absolute path; the folder need not exist."""
        ...

    def names(self) -> Sequence[str]:
        """Return the names of the strategies, which are those of the files, in alphabetical order."""
        ...

    def is_stale(self) -> bool:
        """Return True if a module that was loaded from the folder, or from an earlier one, differs from its file."""
        ...


_made: list[Callable[[], StrategyFolder]] = []


def mount(make: Callable[[], StrategyFolder]) -> None:
    """Set the function that returns the folder; it is called at every look-up, since settings can change."""
    _made[:] = [make]


def mounted() -> StrategyFolder | None:
    """Return the folder, or None where the edge has set none."""
    return _made[0]() if _made else None

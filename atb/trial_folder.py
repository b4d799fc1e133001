"""The folder of the trials ledger: set by the edge of the program, asked for by what records trials.

A module of its own, because both sides import it and neither may import the other: the ledger lies below the settings, and a
runner, which reads the settings, loads nothing of the ledger.

No trial may go unrecorded only because a script never asked for the settings. So their package, which mounts its folder when it is
imported, is imported here by name when nothing is mounted yet.
"""

import importlib
from collections.abc import Callable
from pathlib import Path

NAME = "trials"
_made: list[Callable[[], Path]] = []


def mount(make: Callable[[], Path]) -> None:
    """Set the function that returns the folder; it is called for every trial, since settings can change."""
    _made[:] = [make]


def mounted() -> Path:
    """Return the folder, which need not exist.

    Raises
    ------
    ConfigError
        If the settings cannot be read.
    """
    if not _made:
        importlib.import_module("atb.config")
    return _made[0]()

"""Table that every file reader returns: a column for each role of bars, and names for its rows in messages."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pandas as pd


def plain_row(row: int) -> str:
    """Return the name of a row (from 0) in messages, for a table without lines."""
    return f"row {row + 1}"


@dataclass(frozen=True)
class Table:
    """One file's rows.

    Parameters
    ----------
    name
        The file's name in messages.
    frame
        The columns `timestamp open high low close volume`, perhaps `clock`, as far as read, not yet checked.
    columns
        The file's own name for each of them.
    notes
        What was skipped or assumed, a few words each.
    symbols
        The symbol of each row as the file writes it, None if it does not.
    others
        The file's own names of columns that bars do not need.
    where
        Names a row, counted from 0, the way a person finds it.
    """

    name: str
    frame: pd.DataFrame
    columns: dict[str, str]
    notes: list[str] = field(default_factory=list)
    symbols: "pd.Series | None" = None
    others: tuple[str, ...] = ()
    where: Callable[[int], str] = plain_row

"""Ledger of revisions: the values a source first gave for a moment and those it gave later, a line of `revisions.jsonl` for each.

Exchanges correct candles, and index makers their history. What was stored stays until the user lets the new values win; either
way the ledger beside the series keeps both, since what was tested was tested on the first.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd

from atb.errors import DataError

FILE = "revisions.jsonl"


@dataclass(frozen=True)
class Revision:
    """One moment whose values came again and differed.

    Parameters
    ----------
    at
        The bar's open, the payment's or the value's stated time, UTC.
    seen
        When the later values came.
    first, later
        The values that were stored then and those that came, by column; only the columns that differ.
    kept
        Which of them the catalogue holds: `first` or `later`.
    source
        Where the later values came from.
    """

    at: pd.Timestamp
    seen: pd.Timestamp
    first: Mapping[str, float | None]
    later: Mapping[str, float | None]
    kept: str
    source: str

    def to_json(self) -> dict[str, Any]:
        """Return plain values; times as ISO 8601."""
        times = {"at": self.at.isoformat(), "seen": self.seen.isoformat()}
        return times | {"first": dict(self.first), "later": dict(self.later), "kept": self.kept, "source": self.source}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        at, seen = (pd.Timestamp(values[name]).tz_convert("UTC") for name in ("at", "seen"))
        return cls(at, seen, values["first"], values["later"], values["kept"], values["source"])


def differences(
    stored: pd.DataFrame, came: pd.DataFrame, *, seen: pd.Timestamp, kept: str, source: str
) -> list[Revision]:
    """Return a revision for each row of two frames of equal shape and index in which a value differs; NaN equals NaN."""
    unequal = (stored.to_numpy() != came.to_numpy()) & ~(stored.isna().to_numpy() & came.isna().to_numpy())
    found = []
    for row in unequal.any(axis=1).nonzero()[0]:
        names = [name for name, differs in zip(stored.columns, unequal[row], strict=True) if differs]
        first, later = ({name: _plain(frame.at[frame.index[row], name]) for name in names} for frame in (stored, came))
        found.append(Revision(stored.index[row], seen, first, later, kept, source))
    return found


def load_revisions(folder: Path) -> list[Revision]:
    """Return the revisions of a series, in the order in which they came.

    Raises
    ------
    DataError
        If the ledger cannot be read.
    """
    path = folder / FILE
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return [Revision.from_json(json.loads(line)) for line in lines]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError("The ledger of revisions cannot be read", found=str(path), todo="Move it away") from error


def with_revisions(folder: Path, revisions: Iterable[Revision]) -> dict[Path, bytes]:
    """Return the ledger's file with these added, for `write_files`; nothing if it holds them already.

    A source that repeats a revised value is no new revision.
    """
    known = load_revisions(folder)
    seen = {_identity(revision) for revision in known}
    new = [revision for revision in revisions if _identity(revision) not in seen]
    if not new:
        return {}
    text = "".join(json.dumps(revision.to_json()) + "\n" for revision in (*known, *new))
    return {folder / FILE: text.encode()}


def _identity(revision: Revision) -> str:
    return json.dumps([revision.at.isoformat(), dict(revision.first), dict(revision.later), revision.kept])


def _plain(value: Any) -> float | None:
    if pd.isna(value):
        return None
    return value.timestamp() if isinstance(value, pd.Timestamp) else float(value)

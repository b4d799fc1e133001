"""The append-only account of everything that happened on the exchange: what tests and judges read."""

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

from atb.files import private, private_folder


class Ledger:
    """Entries in the order in which they happened; none is ever changed or taken back.

    An entry has `seq` (0, 1, ...), `ms` (virtual time) and `kind`:
    `request` (`id method path client_id params`), `answer` (`id path status code fate`: send, reset, hold, truncate, late),
    `order` (one change of an order: `execution` and its state after it), `trade`, `balance` (`asset free locked`), `transfer`,
    `list`, `subscription` (`stream event`: somebody began to listen), `frame` (a stream sent something), `fault` (one struck),
    `mark` (a test's own note).
    Amounts are decimals as text, so that sums are exact.

    Parameters
    ----------
    file
        Also written there, one JSON object per line; None keeps the ledger in memory.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._entries: list[dict[str, Any]] = []
        self._file: TextIO | None = None
        if file is not None:
            private_folder(file.parent)
            self._file = open(file, "w", encoding="utf-8", opener=private)  # noqa: SIM115 - Path.open takes no opener; `close` ends it

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self._entries)

    def append(self, now_ms: int, kind: str, values: Mapping[str, Any]) -> None:
        """Add an entry."""
        entry = {"seq": len(self._entries), "ms": now_ms, "kind": kind} | dict(values)
        self._entries.append(entry)
        if self._file is not None:
            self._file.write(json.dumps(entry, default=_as_text) + "\n")
            self._file.flush()

    def entries(self, first: int = 0) -> list[dict[str, Any]]:
        """Return copies of the entries from `first` on."""
        return [dict(entry) for entry in self._entries[first:]]

    def to_json(self, first: int = 0) -> str:
        """Return the entries from `first` on as one JSON list."""
        return json.dumps(self._entries[first:], default=_as_text)

    def close(self) -> None:
        """End the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _as_text(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value)

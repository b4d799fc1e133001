"""The inputs that a session's decisions were handed, read back from its journal (`atb.live.execution.known_inputs` writes them)."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from atb.domain.input_series import InputSeries
from atb.domain.inputs import Input


def handed_inputs(declared: Mapping[str, Input], decisions: Iterable[Mapping[str, Any]]) -> dict[str, InputSeries]:
    """Return by name all rows that decisions were handed, each as it was handed first.

    Parameters
    ----------
    declared
        The inputs that the strategy reads.
    decisions
        Rows of decisions, with `inputs`.
    """
    found: dict[str, dict[int, list[float | None]]] = {name: {} for name in declared}
    columns: dict[str, tuple[str, ...]] = {}
    for row in decisions:
        for name, record in (row["inputs"] or {}).items():
            columns[name] = tuple(record["columns"])
            for stated, *values in record["rows"]:
                found[name].setdefault(int(stated), values)
    return {
        name: _series(declared[name], rows, columns[name]) if rows else InputSeries.empty(declared[name])
        for name, rows in found.items()
    }


def _series(declared: Input, rows: Mapping[int, list[float | None]], columns: tuple[str, ...]) -> InputSeries:
    stated = sorted(rows)
    known = np.array([rows[time][0] for time in stated], dtype=np.int64)
    values = np.array([rows[time][1:] for time in stated], dtype=np.float64).reshape(len(stated), len(columns))
    return InputSeries(declared, np.array(stated, dtype=np.int64), known, columns, values)

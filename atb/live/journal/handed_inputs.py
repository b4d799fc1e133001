"""The inputs that a session's decisions were handed, as the journal keeps them, and read back."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from atb.domain.input_series import InputSeries
from atb.domain.inputs import Input

Values = dict[str, float | None]


def record_of(handed: InputSeries, new: InputSeries | None) -> dict[str, Any]:
    """Return an input as the journal keeps it: the newest row handed in, and the rows that were new, as plain values.

    `newest_ms` is the stated time of the newest row, None where there is none; a row is its stated time, when it became known, and
    its values in the order of `columns`.
    """
    rows = [] if new is None else zip(new.stated_ms.tolist(), new.known_ms.tolist(), new.values.tolist(), strict=True)
    return {
        "newest_ms": int(handed.stated_ms[-1]) if len(handed) else None,
        "columns": list(handed.columns),
        "rows": [[stated, known, *(_plain(value) for value in values)] for stated, known, values in rows],
    }


def _plain(value: float) -> float | None:
    return None if value != value else value  # noqa: PLR0124 - NaN; JSON has none


def handed_inputs(declared: Mapping[str, Input], decisions: Iterable[Mapping[str, Any]]) -> dict[str, InputSeries]:
    """Return by name all rows that decisions were handed, each as it was handed first.

    Parameters
    ----------
    declared
        The inputs that the strategy reads.
    decisions
        Rows of decisions, with `inputs`.
    """
    found: dict[str, dict[int, tuple[int, Values]]] = {name: {} for name in declared}
    columns: dict[str, tuple[str, ...]] = {}
    for row in decisions:
        for name, record in (row["inputs"] or {}).items():
            columns[name] = tuple(dict.fromkeys([*record["columns"], *columns.get(name, ())]))  # a universe may grow
            for stated, known, *values in record["rows"]:
                found[name].setdefault(int(stated), (known, dict(zip(record["columns"], values, strict=True))))
    return {
        name: _series(declared[name], rows, columns[name]) if rows else InputSeries.empty(declared[name])
        for name, rows in found.items()
    }


def _series(declared: Input, rows: Mapping[int, tuple[int, Values]], columns: tuple[str, ...]) -> InputSeries:
    stated = sorted(rows)
    known = np.array([rows[time][0] for time in stated], dtype=np.int64)
    table = [[rows[time][1].get(column) for column in columns] for time in stated]
    values = np.array(table, dtype=np.float64).reshape(len(stated), len(columns))
    return InputSeries(declared, np.array(stated, dtype=np.int64), known, columns, values)

"""Recorded runs side by side: what differs in their parameters, their bars and their code, and what each came to."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atb.decimals import counted, rounded_figure
from atb.domain.bars import SYNTHETIC
from atb.errors import InputError
from atb.experiments.registry import get_run

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from atb.db import Database
    from atb.db.tables import RunRow

MOST = 12  # columns that a person can compare


@dataclass(frozen=True)
class RunComparison:
    """Runs, in the order in which they were named."""

    runs: "tuple[RunRow, ...]"

    @cached_property
    def names(self) -> list[str]:
        """A short name of each run: what it ran on, and the end of its id."""
        return [_name(run) for run in self.runs]

    @property
    def label(self) -> str:
        """Title of figures: the notebooks, and the markets; synthetic data is named as such."""
        notebooks = ", ".join(dict.fromkeys(Path(run.notebook).stem for run in self.runs))
        synthetic = any(series["venue"] == SYNTHETIC for run in self.runs for series in run.data)
        return f"{notebooks} · {len(self.runs)} runs{' · SYNTHETIC data' if synthetic else ''}"

    @property
    def verdict(self) -> str:
        """In how many parameters the runs differ, and whether their figures may be compared."""
        differing = counted(len(self.parameters), "parameter")
        if self.notes:
            return f"{len(self.runs)} runs that differ in {differing} and cannot simply be compared: {self.notes[0]}"
        return f"{len(self.runs)} runs on the same bars by the same code, differing in {differing}: their figures can be compared"

    @cached_property
    def parameters(self) -> "pd.DataFrame":
        """The parameters in which the runs differ, one a row, as text."""
        rows = {name: [_text(run.parameters.get(name, "-")) for run in self.runs] for name in self._parameter_names()}
        return self._frame({name: row for name, row in rows.items() if len(set(row)) > 1}, "parameter")

    @cached_property
    def metrics(self) -> "pd.DataFrame":
        """The published figures, one a row; NaN where a run has none."""
        import pandas as pd

        names = list(dict.fromkeys(name for run in self.runs for name in run.metrics))
        rows = {name: [run.metrics.get(name) for run in self.runs] for name in names}
        table: pd.DataFrame = self._frame(rows, "figure").apply(pd.to_numeric, errors="coerce")
        return table

    @property
    def figures(self) -> "pd.DataFrame":
        """The published figures as text, rounded as everywhere; `metrics` has the exact values."""
        exact = self.metrics
        rows = {str(name): [rounded_figure(str(name), value) for value in exact.loc[name]] for name in exact.index}
        return self._frame(rows, "figure")

    @cached_property
    def notes(self) -> list[str]:
        """Why the figures may not be compared, a sentence each: other bars, another kernel, other versions, a failed run."""
        found = []
        if len({repr([series["fingerprint"] for series in run.data]) for run in self.runs}) > 1:
            periods = "; ".join(f"{name}: {_bars(run)}" for name, run in zip(self.names, self.runs, strict=True))
            found.append(f"They used different bars ({periods}): a difference of figures may be one of periods")
        if len({run.kernel_hash for run in self.runs}) > 1:
            found.append("They were computed by different kernels: run them again with this one")
        if len({repr(sorted(run.versions.items())) for run in self.runs}) > 1:
            found.append("They were computed with different versions of packages")
        found += [f"{name} {run.status}: {run.error}" for name, run in zip(self.names, self.runs, strict=True)
                  if run.status != "succeeded"]  # fmt: skip
        return found

    @cached_property
    def equity(self) -> "dict[str, pd.Series[float]]":
        """The equity of each run that published a result, by its name, indexed by time."""
        found = {name: _equity(Path(run.path)) for name, run in zip(self.names, self.runs, strict=True)}
        return {name: equity for name, equity in found.items() if equity is not None}

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON types."""
        return {
            "runs": [run.run_id for run in self.runs], "notes": self.notes, "parameters": {name: list(row) for name, row in
            zip(self.parameters.index, self.parameters.to_numpy(), strict=True)}, "metrics": {name: [float(each) for each in row]
            for name, row in zip(self.metrics.index, self.metrics.to_numpy(), strict=True)},
        }  # fmt: skip

    def _parameter_names(self) -> list[str]:
        return list(dict.fromkeys(name for run in self.runs for name in run.parameters))

    def _frame(self, rows: dict[str, list[Any]], index: str) -> "pd.DataFrame":
        import pandas as pd

        return pd.DataFrame.from_dict(rows, orient="index", columns=self.names).rename_axis(index=index)


def compare(
    database: "Database", run_ids: Sequence[str], *, find: "Callable[[Database, str], RunRow]" = get_run
) -> RunComparison:
    """Return recorded runs side by side.

    Parameters
    ----------
    run_ids
        Two or more ids, or unique beginnings of ids.
    find
        Finds a run by its id; `read_run` writes nothing.

    Raises
    ------
    InputError
        If there is no such run, one is named twice, or there are fewer than two or too many.
    """
    if not 2 <= len(run_ids) <= MOST:
        raise InputError(
            f"A comparison has 2 to {MOST} runs", found=len(run_ids), todo="Name their ids: `atb runs` lists them"
        )
    runs = tuple(find(database, run_id) for run_id in run_ids)
    if len({run.run_id for run in runs}) < len(runs):
        raise InputError("A run is named twice", found=", ".join(run_ids))
    return RunComparison(runs)


def _equity(folder: Path) -> "pd.Series[float] | None":
    """Return a run's equity indexed by time, from CSV or, of a long run, from Parquet; None without one."""
    import pandas as pd

    if (path := folder / "equity.csv").is_file():
        table = pd.read_csv(path, index_col=0, parse_dates=True)
    elif (long := path.with_suffix(".parquet")).is_file():
        table = _indexed(pd.read_parquet(long))
    else:
        return None
    found: pd.Series[float] = table["equity"]
    return found


def _indexed(table: "pd.DataFrame") -> "pd.DataFrame":
    """Return a table indexed by its times, which a file may hold as a column."""
    import pandas as pd

    return table if isinstance(table.index, pd.DatetimeIndex) else table.set_index(table.columns[0])


def _name(run: "RunRow") -> str:
    about = [str(run.parameters[name]) for name in ("strategy", "symbol", "timeframe") if run.parameters.get(name)]
    return f"{' '.join(about) or Path(run.notebook).stem} ({run.run_id[-6:]})"


def _bars(run: "RunRow") -> str:
    return (
        ", ".join(
            f"{series['symbol']} {series['timeframe']} {series['venue']}, {series['bars']:,} bars"
            for series in run.data
        )
        or "none"
    )


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)

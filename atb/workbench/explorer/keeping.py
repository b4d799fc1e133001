"""Keeps what was explored: the backtest notebook executed with its values, or a copy of it that has them as defaults."""

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atb.errors import ParityError, RunError
from atb.files import write_public

if TYPE_CHECKING:
    from atb.backtest import Result
    from atb.db.tables import RunRow

_NAME = re.compile(r"[^A-Za-z0-9]+")


def keep(notebook: Path, values: Mapping[str, Any], *, shown: "Result") -> "RunRow":
    """Execute the backtest notebook with these values in a kernel of its own, and return the registered run.

    Raises
    ------
    RunError
        If the notebook failed.
    ParityError
        If its figures are not those that are shown.
    """
    from atb.workbench.backtesting import differences
    from atb.workbench.runs import run_notebook

    run = run_notebook(notebook, values)
    if differing := differences(shown, run.metrics):
        raise ParityError(f"Run {run.run_id} has other figures than those shown", found=differing)
    return run


def write_notebook(notebook: Path, values: Mapping[str, Any], *, folder: Path) -> Path:
    """Write a copy of a notebook, without outputs, whose parameters have these values as defaults; never over another file."""
    import nbformat

    from atb.experiments.parameters import TAG, read_notebook

    node = read_notebook(notebook)
    for cell in node.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            if TAG in cell.metadata.get("tags", []):
                cell.source = with_values(cell.source, values)
    text = nbformat.writes(node)  # type: ignore[no-untyped-call] # no types there
    base = _NAME.sub("_", f"{values['strategy']} {values['symbol']} {values['timeframe']}").strip("_")
    for number in range(1, 10_000):
        path = folder / f"{base}{'' if number == 1 else f'_{number}'}.ipynb"
        try:
            write_public(path, f"{text}\n".encode(), new=True)
        except FileExistsError:
            continue
        return path
    raise RunError("Ten thousand copies are enough", found=str(folder / base))


def with_values(source: str, values: Mapping[str, Any]) -> str:
    """Return the source of a parameters cell in which these names have other values; comments stay."""
    lines = source.splitlines()
    for statement in reversed(ast.parse(source).body):
        if not isinstance(statement, ast.AnnAssign) or statement.value is None:
            continue
        target, old = statement.target, statement.value
        if not isinstance(target, ast.Name) or target.id not in values:
            continue
        first, last = old.lineno - 1, (old.end_lineno or old.lineno) - 1
        before = lines[first].encode()[: old.col_offset].decode()
        after = lines[last].encode()[old.end_col_offset :].decode()
        lines[first : last + 1] = [f"{before}{values[target.id]!r}{after}"]
    return "\n".join(lines)

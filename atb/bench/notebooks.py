"""Small notebooks in a batch: recorded runs with kernels forked from a warm one, beside papermill, one at a time each.

The notebook imports what research imports, and backtests some hundred bars. papermill starts a kernel for each, which imports anew;
it records nothing, writes no report and checks no parameter. Ours does all of that, and still begins where the imports end. Wall
time of a notebook counts, since it waits more than it computes; the start of the fork server, once a batch, is in the notes.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from atb.bench.cases import ATB, Row

CASE, PAPERMILL, COLD = "notebooks", "papermill", "atb, new kernels"
BARS = 500
OURS, THEIRS = 20, 4  # notebooks measured
SOURCE = f"""
import numpy as np
import pandas as pd
import plotly.graph_objects as go
from atb.domain import Bars, Symbol, Timeframe
from atb.domain.bars import bar_index
from atb.workbench import RiskPolicy, Slot, make_strategy, publish, run

close = 100 * np.exp(np.random.default_rng(seed).normal(0, 0.01, {BARS}).cumsum())
frame = pd.DataFrame({{"open": close, "high": close * 1.01, "low": close * 0.99, "close": close, "volume": 1.0}})
index = bar_index(pd.date_range("2024-01-01", periods={BARS}, freq="h").as_unit("ms").to_numpy())
bars = Bars(Symbol.parse("BTC/USDT"), Timeframe.parse("1h"), frame.set_axis(index), "bench")
result = run(Slot(make_strategy("sma_cross", fast=10, slow=40), bars, RiskPolicy(fraction=0.95)))
publish(metrics={{"total_return_pct": result.stats["total_return_pct"], "trades": result.stats["n_trades"]}}, data=[bars])
"""


def measure_notebooks(*, ours: int = OURS, theirs: int = THEIRS) -> list[Row]:
    """Return the rows of the case, in seconds a notebook: forked kernels, new ones, papermill; all must publish the same figures.

    Parameters
    ----------
    ours, theirs
        Notebooks that are run with forked kernels, and in the two slower ways.
    """
    with tempfile.TemporaryDirectory(prefix="atb-bench-") as folder:
        path = _notebook(Path(folder) / "small.ipynb")
        warm, started, found = _recorded(path, ours, warm=True)
        cold, _, new = _recorded(path, theirs, warm=False)
        bare, published = _papermill(path, theirs)
    same = found[:theirs] == new == published
    notes = [f"the fork server starts in {started:.1f} s, once a batch", f"{ours} notebooks, {60 / warm:,.0f} a minute"]
    if not started:
        notes[0] = "kernels cannot be forked here: each was started anew"
    return [
        Row(CASE, ATB, BARS, ours, warm, 1.0, None, same, wall_s=warm, notes=notes),
        Row(CASE, COLD, BARS, theirs, cold, cold / warm, None, same, wall_s=cold),
        Row(CASE, PAPERMILL, BARS, theirs, bare, bare / warm, None, same, wall_s=bare),
    ]


def _notebook(path: Path) -> Path:
    import nbformat

    v4, write = cast("Any", nbformat.v4), cast("Any", nbformat.write)  # no types there
    node = v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    )
    node.cells = [
        v4.new_code_cell("seed: int = 1  # of the bars", metadata={"tags": ["parameters"]}),
        v4.new_code_cell(SOURCE),
    ]
    write(node, path)
    return path


def _recorded(path: Path, count: int, *, warm: bool) -> tuple[float, float, list[Any]]:
    """Return seconds a notebook, seconds to start the fork server (0 without), and the published figures."""
    from atb.config import Settings
    from atb.config.settings import DatabaseSettings, DataSettings
    from atb.db import open_database
    from atb.environment import variables
    from atb.experiments import execute
    from atb.experiments.execution import RunContext
    from atb.experiments.fork_server import ForkServer
    from atb.experiments.surroundings import kernel_environment

    root = path.parent / ("warm" if warm else "cold")
    settings = Settings(data=DataSettings(root=root), database=DatabaseSettings(url=f"sqlite:///{root}/atb.db"))
    database = open_database(settings.database.url)
    began = time.perf_counter()
    server = ForkServer.start(kernel_environment(variables())) if warm else None
    started = time.perf_counter() - began if server else 0.0
    context = RunContext(kernels=server)

    def one(seed: int) -> Any:
        return execute(path, {"seed": seed}, settings=settings, database=database, context=context).metrics

    try:
        seconds, found = _timed(one, count)
        return seconds, started, found
    finally:
        if server is not None:
            server.close()
        database.close()


def _papermill(path: Path, count: int) -> tuple[float, list[Any]]:
    """Return seconds a notebook by papermill alone, and the published figures."""
    import logging

    import papermill

    from atb.experiments.publication import MIME

    logging.getLogger("papermill").setLevel(logging.ERROR)

    def one(seed: int) -> Any:
        target = path.with_name(f"papermill-{seed}.ipynb")
        node = papermill.execute_notebook(
            str(path), str(target), {"seed": seed}, kernel_name="python3", progress_bar=False
        )
        shown = [
            output.data[MIME]
            for cell in node.cells
            for output in cell.get("outputs", [])
            if MIME in output.get("data", {})
        ]
        return shown[0]["metrics"]

    before = os.environ.get("ATB_RUN_DIR")
    os.environ.pop("ATB_RUN_DIR", None)
    try:
        return _timed(one, count)
    finally:
        if before is not None:
            os.environ["ATB_RUN_DIR"] = before


def _timed(one: Callable[[int], Any], count: int) -> tuple[float, list[Any]]:
    """Return seconds a call, after one that does not count, and what each returned."""
    one(0)
    began = time.perf_counter()
    found = [one(seed) for seed in range(1, count + 1)]
    return (time.perf_counter() - began) / count, found

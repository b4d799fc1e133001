"""Batches: how far each is and how its cells ended, and the cells of one with what differs between them."""

from collections import Counter
from typing import Any

from dash import html
from dash.development.base_component import Component

from atb.dashboards.elements import cards, link, listed, notice, rounded
from atb.dashboards.page import Look, Page, Query, Source
from atb.dashboards.pages.backtests import FIGURES, figure_of, run_row

WITHIN = 5_000  # newest runs in which batches are looked for
MOST = 500  # cells of a batch that are shown
COUNTED = ("succeeded", "running", "failed", "interrupted")
_COLUMNS = {"name": "batch", "notebook": "notebook", "began": "began", "last": "newest run began", "cells": "runs",
            **{name: name for name in COUNTED}, "seconds": "time of all (s)"}  # fmt: skip


def read(source: Source, query: Query) -> dict[str, Any]:
    """Return the batches among the newest runs, or with `batch` the runs of one."""
    from atb.experiments.registry import Wanted, read_runs

    wanted = dict(query).get("batch")
    limit = WITHIN if wanted is None else MOST + 1
    runs = [run_row(run) for run in read_runs(source.database, Wanted(batch=wanted), limit=limit, within=limit)]
    return {"batches": _batches(runs)} if wanted is None else {"batch": wanted, "runs": runs}


def _batches(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        if run["batch"] is not None:
            found.setdefault(run["batch"], []).append(run)
    return [_batch(name, cells) for name, cells in found.items()]


def _batch(name: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    counts = Counter(run["status"] for run in runs)
    return {
        "batch": name, "notebook": runs[0]["notebook"], "began": runs[-1]["began"], "last": runs[0]["began"], "cells": len(runs),
        **{status: counts[status] for status in COUNTED}, "seconds": rounded(sum(run["seconds"] or 0.0 for run in runs), 1),
    }  # fmt: skip


def draw(content: dict[str, Any], look: Look) -> Component:  # noqa: ARG001 - the register's signature
    """Return the batches, or the cells of one."""
    if "batch" in content:
        return _drawn(content["batch"], content["runs"])
    rows = [{**row, "name": link(row["batch"], "/batches", batch=row["batch"])} for row in content["batches"]]
    empty = f"No batch is among the newest {WITHIN:,} runs: `atb sweep NOTEBOOK --grid grid.yaml` runs one for every combination."
    return html.Div([html.H1("Batches"), listed(rows, _COLUMNS, empty=empty)])


def _drawn(name: str, every: list[dict[str, Any]]) -> Component:
    runs = every[:MOST]
    if not runs:
        return html.Div([html.H1(f"Batch {name}"), notice("There is no run of this batch.")])
    counts = Counter(run["status"] for run in runs)
    swept = differing([run["parameters"] for run in runs])
    figures = [name for name in FIGURES if any(name in run["metrics"] for run in runs)]
    columns = {
        "name": "run", **{f"p {each}": each for each in swept}, "status": "status", **{each: FIGURES[each] for each in figures},
        "seconds": "time (s)", "error": "why it failed",
    }  # fmt: skip
    rows = [
        {
            **run,
            "name": link(run["run_id"], "/run", id=run["run_id"]),
            **{f"p {each}": _inner(run["parameters"], each) for each in swept},
            **{each: figure_of(run, each) for each in figures},
        }
        for run in runs
    ]
    best = sorted(rows, key=lambda row: -(row["metrics"].get("sharpe") or float("-inf")))
    cut = notice(f"The newest {MOST} runs of the batch.") if len(every) > MOST else None
    ranked = html.P("The highest Sharpe ratio first. The best of many is the luckiest of many.", className="soft")
    head = [html.H1(f"Batch {name}"), cards({status: counts[status] for status in COUNTED}), cut]
    return html.Div([*head, ranked if "sharpe" in figures else None, listed(best, columns, empty="")])


def differing(parameters: list[dict[str, Any]]) -> list[str]:
    """Return the parameters in which runs differ; one of a strategy as `params.fast`."""
    names = dict.fromkeys(name for each in parameters for name in _flat(each))
    return [name for name in names if len({repr(_inner(each, name)) for each in parameters}) > 1]


def _flat(parameters: dict[str, Any]) -> list[str]:
    return [
        f"{name}.{inner}" if inner else name
        for name, value in parameters.items()
        for inner in (value if isinstance(value, dict) and value else [""])
    ]


def _inner(parameters: dict[str, Any], name: str) -> Any:
    outer, _, inner = name.partition(".")
    found = parameters.get(outer)
    value = found if not inner else found.get(inner) if isinstance(found, dict) else None
    return value if isinstance(value, int | float) or value is None else str(value)


PAGE = Page("/batches", "Batches", read, draw, every_s=2.0)

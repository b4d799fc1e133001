"""Backtests and other runs: browsed, filtered, and chosen for a comparison; all by links, so that an address holds what is seen."""

from typing import Any

from dash import html
from dash.development.base_component import Component

from atb.dashboards.elements import link, listed, notice, text
from atb.dashboards.page import Look, Page, Query, Source
from atb.decimals import rounded_figure
from atb.experiments import BACKTEST

MOST = 50
FILTERS = ("notebook", "status", "strategy", "symbol", "batch")
FIGURES = {"total_return_pct": "return (%)", "benchmark_return_pct": "holding (%)", "sharpe": "Sharpe ratio (a year)",
           "max_drawdown_pct": "drawdown (%)", "n_trades": "trades"}  # fmt: skip
_COLUMNS = {"name": "run", "began": "began", "notebook": "notebook", "strategy": "strategy", "symbol": "symbol", "timeframe": "bar",
            "status": "status", **FIGURES, "add": "compare"}  # fmt: skip


def read(source: Source, query: Query) -> dict[str, Any]:
    """Return the newest runs that fit, and the ids that were chosen for a comparison."""
    from atb.experiments.registry import Wanted, read_runs

    asked: dict[str, Any] = {name: value for name, value in query if name in FILTERS}
    found = read_runs(source.database, Wanted(**asked), limit=MOST)
    chosen = [each for each in dict(query).get("chosen", "").split(",") if each]
    return {"runs": [run_row(run) for run in found], "asked": asked, "chosen": chosen}


def run_row(run: Any) -> dict[str, Any]:
    """Return a recorded run as plain values for tables."""
    given = {name: run.parameters.get(name) for name in ("strategy", "symbol", "timeframe")}
    first = run.data[0] if run.data else {}
    return {
        "run_id": run.run_id, "notebook": run.notebook, "status": run.status, "error": run.error,
        "began": run.started_at.isoformat(), "seconds": run.seconds, "batch": run.batch, "parameters": run.parameters,
        "strategy": given["strategy"], "symbol": given["symbol"] or first.get("symbol"),
        "timeframe": given["timeframe"] or first.get("timeframe"), "metrics": run.metrics,
    }  # fmt: skip


def draw(content: dict[str, Any], look: Look) -> Component:  # noqa: ARG001 - the register's signature
    """Return the runs as a table whose cells filter it."""
    asked, chosen = content["asked"], content["chosen"]
    rows = [_row(run, asked, chosen) for run in content["runs"]]
    only = ", ".join(f"{name} {value}" for name, value in asked.items())
    empty = "No run fits." if asked else f"Nothing was run yet: `atb run notebooks/{BACKTEST}` records a backtest."
    return html.Div(
        [
            html.H1("Backtests"),
            html.Nav(_ways(asked, chosen), className="ways"),
            notice(f"Only {only}. The newest {MOST} of them.") if only else None,
            listed(rows, _COLUMNS, empty=empty),
        ]
    )


def _ways(asked: dict[str, str], chosen: list[str]) -> list[Component]:
    ways = [link("All runs", "/backtests"), link("Backtests alone", "/backtests", notebook="03_backtest"),
            link("Failed", "/backtests", status="failed")]  # fmt: skip
    if len(chosen) > 1:
        ways.append(link(f"Compare the {len(chosen)} chosen", "/compare", runs=",".join(chosen)))
    if chosen:
        ways.append(link("Choose none", "/backtests", **asked))
    return ways


def _row(run: dict[str, Any], asked: dict[str, str], chosen: list[str]) -> dict[str, Any]:
    own = run["run_id"]
    rest = [each for each in chosen if each != own] if own in chosen else [*chosen, own]
    filters = {
        name: run[name] and link(run[name], "/backtests", **asked | {name: run[name]})
        for name in ("notebook", "status", "strategy", "symbol")
    }
    return {
        **run,
        **filters,
        **{name: figure_of(run, name) for name in FIGURES},
        "name": link(text(own), "/run", id=own),
        "add": link("chosen" if own in chosen else "choose", "/backtests", **asked, chosen=",".join(rest) or None),
    }


def figure_of(run: dict[str, Any], name: str) -> str | None:
    """Return a published figure of a run, rounded as everywhere; None where it has none."""
    value = run["metrics"].get(name)
    return rounded_figure(name, value) if isinstance(value, int | float) else None


PAGE = Page("/backtests", "Backtests", read, draw, every_s=2.0)

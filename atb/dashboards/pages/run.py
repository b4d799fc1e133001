"""One run: what it is worth, its figures as its notebook drew them, and the notebook itself."""

import json
from typing import TYPE_CHECKING, Any

from dash import html
from dash.development.base_component import Component

from atb.dashboards.elements import cards, facts, figure, link, listed, notice, section
from atb.dashboards.page import Look, Page, Query, Source
from atb.dashboards.pages.backtests import figure_of, run_row
from atb.errors import AtbError, InputError

if TYPE_CHECKING:
    from pathlib import Path

LARGEST = 1_500_000  # characters of a figure; larger ones are in the tear sheet
FIRST = {
    "total_return_pct": "return (%)", "benchmark_return_pct": "holding (%)", "cagr_pct": "return a year (%)",
    "sharpe": "Sharpe ratio (a year)", "sortino": "Sortino ratio (a year)", "max_drawdown_pct": "drawdown (%)",
    "volatility_pct": "volatility a year (%)", "n_trades": "trades", "win_rate_pct": "won (%)", "profit_factor": "profit factor",
    "exposure_time_pct": "time in the market (%)", "fees_paid": "fees (quote)",
}  # fmt: skip


def read(source: Source, query: Query) -> dict[str, Any]:
    """Return the run, what its notebook published, and its figures.

    Raises
    ------
    InputError
        If the address names no run, or there is none of that name.
    """
    from atb.experiments.publication import published
    from atb.experiments.registry import read_run
    from atb.experiments.verdict import verdict

    wanted = dict(query).get("id")
    if wanted is None:
        raise InputError("No run is named", todo="Choose one on the page Backtests")
    run = read_run(source.database, wanted)
    folder = source.settings.runs_root / run.run_id
    found, problem = {}, ""
    try:
        found = published(folder)
    except AtbError as unreadable:
        problem = str(unreadable)
    figures, left_out = _figures(folder, run.notebook)
    return {
        **run_row(run),
        "ended": None if run.ended_at is None else run.ended_at.isoformat(),
        "commit": run.commit,
        "dirty": run.dirty,
        "kernel": run.kernel_hash,
        "data": run.data,
        "headline": found.get("headline"),
        "verdict": verdict(found),
        "findings": found.get("findings") or [],
        "problem": problem,
        "files": [name for name in (run.notebook, "report.html") if (folder / name).is_file()],
        "figures": figures,
        "left_out": left_out,
    }


def _figures(folder: "Path", notebook: str) -> tuple[list[dict[str, Any]], str]:
    """Return the figures of the executed notebook, and why some are missing."""
    from atb.experiments.report import recorded_figures

    try:
        every = recorded_figures(folder, notebook)
    except AtbError as unreadable:
        return [], str(unreadable)
    small = [each for each in every if len(json.dumps(each, default=str)) <= LARGEST]
    missing = len(every) - len(small)
    return small, f"{missing} large figures are in the tear sheet alone." if missing else ""


def draw(content: dict[str, Any], look: Look) -> Component:
    """Return the run from its verdict to its parameters."""
    run_id, metrics = content["run_id"], content["metrics"]
    first = {label: figure_of(content, name) for name, label in FIRST.items() if name in metrics}
    rest = [{"name": name.replace("_", " "), "value": value} for name, value in metrics.items() if name not in FIRST]
    given = [{"name": name, "value": json.dumps(value)} for name, value in content["parameters"].items()]
    figures = [figure(each, look, name=f"figure-{number}") for number, each in enumerate(content["figures"])]
    return html.Div(
        [
            html.H1(f"Run {run_id}"),
            html.Nav(_ways(content), className="ways"),
            *_said(content),
            cards(first) if first else None,
            *figures,
            notice(content["left_out"]) if content["left_out"] else None,
            section("Further figures", listed(rest, {"name": "figure", "value": "value"}, empty="It published none.")),
            section("Parameters", listed(given, {"name": "parameter", "value": "value"}, empty="It has none.")),
            section("Where it comes from", _origin(content)),
        ]
    )


def _ways(content: dict[str, Any]) -> list[Component]:
    names = {content["notebook"]: "Executed notebook", "report.html": "Tear sheet"}
    ways: list[Component] = [
        html.A(names[name], href=f"/files/{content['run_id']}/{name}") for name in content["files"]
    ]
    return [*ways, link("Choose for a comparison", "/backtests", chosen=content["run_id"])]


def _said(content: dict[str, Any]) -> list[Component]:
    """Return status, verdict and findings as notices, the gravest first."""
    failed = [notice(f"It {content['status']}: {content['error']}", "bad")] if content["error"] else []
    unread = [notice(content["problem"], "bad")] if content["problem"] else []
    said = [notice(content[name]) for name in ("verdict", "headline") if content[name]]
    return [*failed, *unread, *said, *(notice(finding, "warn") for finding in content["findings"])]


def _origin(content: dict[str, Any]) -> Component:
    bars = [f"{one['symbol']} {one['timeframe']} {one['venue']}, {one['bars']:,} bars" for one in content["data"]]
    batch = content["batch"]
    return facts(
        {
            "notebook": content["notebook"],
            "status": content["status"],
            "began": content["began"],
            "ended": content["ended"],
            "seconds": content["seconds"],
            "bars": "; ".join(bars) or None,
            "batch": batch and link(batch, "/batches", batch=batch),
            "commit": content["commit"] and f"{content['commit']}{', with changes' if content['dirty'] else ''}",
            "kernel": content["kernel"],
        }
    )


PAGE = Page("/run", "Run", read, draw, every_s=10.0, listed=False, from_files=True)

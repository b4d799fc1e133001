"""Runs side by side: why they may not be compared, their equity, the parameters that differ, and their figures."""

from typing import Any

from dash import html
from dash.development.base_component import Component

from atb.backtest.card import NAMES
from atb.dashboards.elements import figure, link, listed, notice, section
from atb.dashboards.page import Look, Page, Query, Source

LABELS = {key: label for label, key in NAMES}


def read(source: Source, query: Query) -> dict[str, Any]:
    """Return the comparison of the runs that the address names.

    Raises
    ------
    InputError
        If there are fewer than two, too many, or one does not exist.
    """
    from atb.experiments.registry import read_run
    from atb.experiments.run_comparison import compare

    found = compare(source.database, [each for each in dict(query).get("runs", "").split(",") if each], find=read_run)
    return {
        "ids": [run.run_id for run in found.runs],
        "names": found.names,
        "label": found.label,
        "verdict": found.verdict,
        "notes": found.notes,
        "parameters": _rows(found.parameters),
        "figures": [
            {**row, "name": LABELS.get(row["name"], row["name"].replace("_", " "))} for row in _rows(found.figures)
        ],
        "equity": found.equity,
    }


def _rows(table: Any) -> list[dict[str, Any]]:
    """Return a table with a column per run as rows whose values are numbered."""
    rows = zip(table.index, table.to_numpy().tolist(), strict=True)
    return [{"name": str(name), **{f"run {n}": value for n, value in enumerate(values)}} for name, values in rows]


def draw(content: dict[str, Any], look: Look) -> Component:
    """Return the comparison."""
    from atb.reports.runs import runs_figure

    columns = {"name": "", **{f"run {n}": name for n, name in enumerate(content["names"])}}
    drawn = None
    if any(len(equity) for equity in content["equity"].values()):
        made = runs_figure(content["equity"], label=content["label"], notes=". ".join(content["notes"]))
        drawn = figure(made, look, name="equity")
    runs = [
        html.Li([link(name, "/run", id=run_id)]) for name, run_id in zip(content["names"], content["ids"], strict=True)
    ]
    return html.Div(
        [
            html.H1("Runs side by side"),
            notice(f"{content['verdict']}.", "warn" if content["notes"] else ""),
            *(notice(f"{note}.", "warn") for note in content["notes"][1:]),
            html.Ul(runs),
            drawn,
            section("Parameters that differ", listed(content["parameters"], columns, empty="No parameter differs.")),
            section("Figures", listed(content["figures"], columns, empty="They published none.")),
        ]
    )


PAGE = Page("/compare", "Runs side by side", read, draw, every_s=10.0, listed=False, from_files=True)

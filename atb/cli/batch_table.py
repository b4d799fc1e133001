"""The table of a batch: one row per cell, with what differs between cells, how each ended, and what it published."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from atb.cli.output import print_json, print_note, print_table, print_text
from atb.cli.targets import write_target
from atb.decimals import counted
from atb.errors import did_you_mean

if TYPE_CHECKING:
    from atb.cli.batch_progress import Tally
    from atb.db import Database
    from atb.db.tables import RunRow
    from atb.experiments.batch.plan import Plan

USUAL_MERIT = "sharpe"  # ranks where it is published, and is not missed where it is not
FIGURES = ("total_return_pct", "sharpe", "max_drawdown_pct", "n_trades")
SMALLER_IS_BETTER = ("max_drawdown_pct", "max_drawdown_days", "volatility_pct", "fees_paid", "financing_paid")


def batch_rows(plan: "Plan", tally: "Tally", database: "Database") -> list[dict[str, Any]]:
    """Return one row per cell: parameters that differ, how it ended, and what it published."""
    from atb.experiments.registry import runs_by_id

    known: dict[int, RunRow] = {**plan.elsewhere, **plan.failed, **plan.finished}
    ids = [report.run_id for report in tally.reports.values() if report.run_id]
    recorded = runs_by_id(database, ids)
    names = swept(plan)
    rows = []
    for cell in plan.cells:
        report = tally.reports.get(cell.number)
        run = recorded.get(report.run_id or "") if report else known.get(cell.number)
        rows.append({
            "number": cell.number,
            **{name: _inner(cell.parameters, name) for name in names},
            "status": report.status if report else run.status if run else "not run",
            "run_id": run.run_id if run else None,
            "seconds": run.seconds if run else None,
            "error": (report.error if report else None) or (run.error if run else None),
            "metrics": run.metrics if run else {},
        })  # fmt: skip
    return rows


def swept(plan: "Plan") -> list[str]:
    """Return the parameters that differ between cells; a strategy's or a rule's as `params.fast`."""
    names = dict.fromkeys(name for cell in plan.cells for name in _flat(cell.parameters))
    return [name for name in names if len({repr(_inner(cell.parameters, name)) for cell in plan.cells}) > 1]


def _flat(parameters: Mapping[str, Any]) -> Iterator[str]:
    for name, value in parameters.items():
        if isinstance(value, dict) and value:
            yield from (f"{name}.{inner}" for inner in value)
        else:
            yield name


def _inner(parameters: Mapping[str, Any], name: str) -> Any:
    outer, _, inner = name.partition(".")
    found = parameters.get(outer)
    if not inner:
        return found if not isinstance(found, dict) or not found else None
    return found.get(inner) if isinstance(found, dict) else None


def show_batch(plan: "Plan", rows: list[dict[str, Any]], options: Mapping[str, Any]) -> None:
    """Print the table, best first where a figure ranks, and write the files that were asked for."""
    if options["as_json"]:
        counts = {
            status: sum(row["status"] == status for row in rows)
            for status in dict.fromkeys(row["status"] for row in rows)
        }
        print_json({"batch": plan.batch, "swept": swept(plan), "counts": counts, "rows": rows})
        return
    figures = list(dict.fromkeys(name for row in rows for name in row["metrics"]))
    by = options["by"] if options["by"] in figures else None
    if by is None and figures and options["by"] != USUAL_MERIT:
        print_note(
            f"No run published {options['by']!r}, so the runs stand as the grid has them. {did_you_mean(options['by'], figures)}"
        )
    if options["table"]:
        _write_csv(options["table"], rows, figures)
        click.echo(f"Written: {options['table']}")
    ranked = sorted(rows, key=lambda row: _rank(row, by)) if by else rows
    shown = list(dict.fromkeys([*([by] if by else []), *(name for name in FIGURES if name in figures)])) or figures[:4]
    names = swept(plan)
    table = [
        {"run": row["number"], **{name.rpartition(".")[2]: row[name] for name in names}, "status": row["status"],
         **{name: row["metrics"].get(name) for name in shown}, "run_id": row["run_id"]}
        for row in ranked[: options["top"]]
    ]  # fmt: skip
    print_table(table)
    done = sum(row["status"] == "succeeded" for row in rows)
    print_text(f"{done:,} of {counted(len(rows), 'run')} succeeded. List them: atb runs --batch {plan.batch}")
    for row in rows:
        if row["status"] == "failed":
            print_text(f"run {row['number']} failed: {row['error']} ({row['run_id'] or 'not recorded'})")


def _rank(row: Mapping[str, Any], by: str) -> tuple[bool, float]:
    value = row["metrics"].get(by)
    known = isinstance(value, int | float)
    return not known, (value if by in SMALLER_IS_BETTER else -value) if known else 0.0


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]], figures: Sequence[str]) -> None:
    import csv
    import io

    text = io.StringIO()
    names = [name for name in rows[0] if name != "metrics"]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*names, *figures])
    for row in rows:
        writer.writerow([*(row[name] for name in names), *(row["metrics"].get(name) for name in figures)])
    write_target(path, text.getvalue().encode())

"""`atb sweep NOTEBOOK`: every run of a grid as a recorded notebook run, on this machine or on a Dask cluster; resumed by itself."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from atb.cli import INTERRUPTED
from atb.cli.accounts import journal
from atb.cli.batch_grid import read_cells
from atb.cli.batch_progress import Tally, duration, shown_progress
from atb.cli.batch_table import batch_rows, show_batch
from atb.cli.executing import check_values, chosen_market, notebook_at, sole_market
from atb.cli.output import print_json, start
from atb.cli.parameters import chosen_rules, joined, notebook_values, read_pairs
from atb.decimals import counted
from atb.errors import InputError, RunError, did_you_mean

if TYPE_CHECKING:
    from atb.config import Settings
    from atb.db import Database
    from atb.experiments.batch.plan import Cell, Plan
    from atb.experiments.parameters import Parameter

FOR_STRATEGIES = {"axes": "--axes", "picture": "--figure", "least_trades": "--least-trades"}
LEAST_GIB = 1.0  # a kernel that imports pandas and plotly has nearly as much reserved


def notebook_named(name: str, settings: "Settings") -> Path | None:
    """Return the notebook that a name means, with or without suffix; None if it is none."""
    given = Path(name)
    for candidate in (given, notebook_at(settings, given.name), notebook_at(settings, f"{given.name}.ipynb")):
        if candidate.suffix == ".ipynb" and candidate.is_file():
            return candidate
    if given.suffix == ".ipynb":
        known = [path.name for path in known_notebooks(settings)]
        raise InputError("There is no such notebook", found=name, todo=did_you_mean(given.name, known))
    return None


def known_notebooks(settings: "Settings") -> list[Path]:
    """Return the notebooks that can be named: those of the project, and those that atb brings."""
    folders = (settings.project / "notebooks", notebook_at(settings, "x").parent)
    return [path for folder in folders for path in folder.glob("*.ipynb")]


def sweep_notebook(path: Path, options: Mapping[str, Any]) -> None:
    """Plan a batch, run what is missing, and show how every cell ended.

    Raises
    ------
    InputError
        An option or a parameter does not fit; nothing was run.
    RunError
        A run failed; the others were finished first.
    """
    _refuse_options(options)
    settings = start()
    with journal(settings) as database:
        plan = _plan(path, options, settings=settings, database=database)
        chosen = {name: options[name] for name in ("force", "retry", "take_over")}
        cells = plan.to_run(**chosen)
        workers = min(options["workers"] or _cores(), max(1, len(cells)))
        if options["dry_run"]:
            _say_plan(plan, cells, workers=workers, dry=True, as_json=options["as_json"])
            return
        if not options["as_json"]:
            _say_plan(plan, cells, workers=workers, dry=False, as_json=False)
        tally = Tally(len(cells), time.monotonic())
        complete = _run(plan, cells, tally, options=options, workers=workers, settings=settings, database=database)
        rows = batch_rows(plan, tally, database)
    show_batch(plan, rows, options)
    if not complete:
        click.echo("Interrupted. The same command goes on where it stopped.", err=True)
        raise click.exceptions.Exit(INTERRUPTED)
    failed = sum(row["status"] != "succeeded" for row in rows)
    if failed:
        raise RunError(
            f"{counted(failed, 'run')} of {len(rows):,} did not succeed",
            todo="Repeat the command with --retry to run them again",
        )


def _refuse_options(options: Mapping[str, Any]) -> None:
    used = [flag for name, flag in FOR_STRATEGIES.items() if options.get(name)]
    if used:
        raise InputError(
            f"{used[0]} is for sweeps of a strategy", todo="A notebook draws its own figures; leave it out"
        )
    if options["memory"] is not None and options["memory"] < LEAST_GIB:
        raise InputError(f"A notebook's kernel needs {LEAST_GIB:g} GiB at least", found=f"{options['memory']:g} GiB")
    if not options["timeout"] > 0:
        raise InputError("The time limit must be above 0 seconds", found=options["timeout"])
    if options["scheduler"] and options["workers"]:
        raise InputError("--workers is for this machine", todo="A cluster has the workers that were started for it")


def _plan(path: Path, options: Mapping[str, Any], *, settings: "Settings", database: "Database") -> "Plan":
    """Return the plan with every cell checked, as far as `atb run` would check it before it starts a kernel."""
    from atb.experiments.batch.plan import make_plan
    from atb.experiments.parameters import read_parameters

    spec = read_parameters(path)
    market = {**_market(options), **chosen_rules(options)}
    pairs = read_pairs(options["given"])
    cells = read_cells(options["grid"], spec)
    _fill_catalogue(settings)
    chosen = [_chosen(number, cell, spec, market=market, pairs=pairs) for number, cell in enumerate(cells, 1)]
    sole = sole_market(chosen[0], {parameter.name: parameter.default for parameter in spec})
    chosen = [{**sole, **each} for each in chosen]
    plan = make_plan(path, chosen, settings=settings, database=database)
    for cell in plan.to_run(force=True):
        check_values(path, dict(cell.values))
    return plan


def _chosen(
    number: int,
    cell: Mapping[str, object],
    spec: "Sequence[Parameter]",
    *,
    market: Mapping[str, object],
    pairs: Mapping[str, object],
) -> dict[str, object]:
    """Return the notebook's parameters of a cell: its own, and those that all share."""
    try:
        return notebook_values(spec, market, joined(pairs, cell))
    except InputError as error:
        raise InputError(f"Run {number} of the batch: {error.wrong}", found=error.found, todo=error.todo) from None


def _market(options: Mapping[str, Any]) -> dict[str, object]:
    symbols = options["symbol"]
    if len(symbols) > 1:
        raise InputError(
            "Several symbols are an axis of a batch",
            found=", ".join(symbols),
            todo=f"--grid symbol={','.join(symbols)}",
        )
    found = chosen_market({**options, "symbol": symbols[0] if symbols else None})
    return {**found, **({"days": options["days"]} if options["days"] else {})}


def _fill_catalogue(settings: "Settings") -> None:
    """Write the synthetic market into an empty catalogue now: the first notebook would, and change what all depend on."""
    from atb.data.catalogue.series import all_series
    from atb.workbench import ensure_sample

    if not all_series(settings.bars_root):
        click.echo(ensure_sample(), err=True)


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _say_plan(plan: "Plan", cells: Sequence["Cell"], *, workers: int, dry: bool, as_json: bool) -> None:
    seconds = plan.seconds(len(cells), workers)
    if as_json:
        found = {"batch": plan.batch, "runs": len(plan.cells), "to_run": len(cells), "finished": len(plan.finished),
                 "failed": len(plan.failed), "elsewhere": len(plan.elsewhere), "workers": workers, "seconds": seconds}  # fmt: skip
        print_json(found)
        return
    known = [
        f"{counted(len(runs), 'run')} {what}"
        for runs, what in ((plan.finished, "finished before"), (plan.failed, "failed before (--retry runs them again)"),
                           (plan.elsewhere, "at work in another process (--take-over if that one is gone)"))
        if runs
    ]  # fmt: skip
    took = f"about {duration(seconds)}" if seconds is not None else "an unknown time, as it has not succeeded yet"
    lines = [
        f"{plan.batch}: {counted(len(plan.cells), 'run')} of {plan.notebook.name}{''.join(f'; {each}' for each in known)}.",
        f"{counted(len(cells), 'run')} to do with {counted(workers, 'worker')}, {took}{'; nothing was run' if dry else ''}.",
    ]
    for line in lines:
        click.echo(line, err=not dry)


def _run(
    plan: "Plan", cells: Sequence["Cell"], tally: Tally, *, options: Mapping[str, Any], workers: int, settings: "Settings",
    database: "Database",
) -> bool:  # fmt: skip
    """Run the cells; return False if interrupted."""
    from atb.experiments.batch.worker import Order
    from atb.experiments.registry import release_claims

    if not cells:
        return True
    if options["force"]:
        release_claims(database, [cell.identity for cell in cells])
    order = Order(plan.notebook, plan.batch, options["timeout"], _memory(options, settings, workers), settings,
                  warm=not options["cold"], take_over=options["take_over"])  # fmt: skip
    with shown_progress(tally, hidden=options["as_json"]) as report:
        if options["scheduler"]:
            from atb.experiments.batch.cluster import run_on_cluster

            return run_on_cluster(cells, plan, order, scheduler=options["scheduler"], settings=settings, report=report)
        from atb.experiments.batch.local import run_local

        return run_local(cells, order, workers=workers, report=report)


def _memory(options: Mapping[str, Any], settings: "Settings", workers: int) -> int | None:
    """Return the limit of each kernel in bytes: as given, else the setting's share divided among the workers."""
    from atb.experiments.ceiling import LEAST, kernel_memory

    if options["memory"] is not None:
        return int(options["memory"] * (1 << 30))
    if options["scheduler"]:
        return None
    whole = kernel_memory(settings.notebooks.memory_share)
    return max(LEAST, whole // workers) if whole else 0

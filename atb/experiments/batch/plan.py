"""The plan of a batch: its cells checked before anything runs, and which of them have succeeded, failed or are at work already.

A batch is known by its notebook's name and its parameters, so the same command resumes it: a cell whose identical run has
succeeded is not repeated, one that was interrupted or never begun is run, and one that failed is listed and run again on request.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atb.db import Database
from atb.db.tables import RunRow
from atb.errors import InputError
from atb.experiments.conversion import Plain
from atb.experiments.execution import redactor_for
from atb.experiments.identity import Inputs, inputs_of
from atb.experiments.lineage import json_sha256
from atb.experiments.parameters import read_parameters, validate_parameters, with_defaults
from atb.experiments.registry import claimed_runs, end_dead_runs, failed_runs, finished_runs, usual_seconds

if TYPE_CHECKING:
    from atb.config import Settings

MOST = 100_000  # cells; each is a folder


@dataclass(frozen=True)
class Cell:
    """One run of a batch: its number from 1, the checked parameters that were given, all of them, and its identities.

    `identity` is its claim, too: only one run of it may finish. `making` is the identity it gets if it makes a model.
    """

    number: int
    values: Mapping[str, Plain]
    parameters: Mapping[str, Plain]
    identity: str
    making: str


@dataclass(frozen=True)
class Plan:
    """The cells of a batch, and what is known of them by their numbers.

    Parameters
    ----------
    notebook, batch, inputs
        The file, the batch's name, and what all its runs depend on.
    cells
        All of them, in the order of the grid.
    finished
        Identical runs that have succeeded.
    failed
        The last run of a cell, where that failed.
    elsewhere
        Runs of other processes that are at work on a cell.
    usual
        Median duration of this notebook's runs, in seconds; None if none has succeeded.
    """

    notebook: Path
    batch: str
    inputs: Inputs
    cells: tuple[Cell, ...]
    finished: Mapping[int, RunRow]
    failed: Mapping[int, RunRow]
    elsewhere: Mapping[int, RunRow]
    usual: float | None

    def to_run(self, *, force: bool = False, retry: bool = False, take_over: bool = False) -> list[Cell]:
        """Return the cells to run: those without a run; with `retry` the failed ones, with `force` the finished ones too."""
        left_out = {
            *(() if force else self.finished),
            *(() if force or retry else self.failed),
            *(() if take_over else self.elsewhere),
        }
        return [cell for cell in self.cells if cell.number not in left_out]

    def seconds(self, cells: int, workers: int) -> float | None:
        """Return how long so many cells take so many workers, in seconds; None if that is not known."""
        return None if self.usual is None else math.ceil(cells / workers) * self.usual


def make_plan(
    notebook: Path, chosen: Sequence[Mapping[str, object]], *, settings: "Settings", database: Database
) -> Plan:
    """Check every cell of a batch, and look up what is known of it.

    Parameters
    ----------
    notebook
        The `.ipynb` file.
    chosen
        The parameters of each cell: text or plain values by name; others keep their defaults.

    Raises
    ------
    InputError
        A parameter is unknown, mistyped or out of its range (the message names the cell), two cells are the same, there is none, or
        too many.
    """
    path = notebook.expanduser().resolve()
    if not 0 < len(chosen) <= MOST:
        raise InputError(f"A batch has 1 to {MOST:,} runs", found=f"{len(chosen):,}", todo="Run it in parts")
    inputs = inputs_of(path, settings)
    cells = _cells(path, chosen, settings=settings, inputs=inputs)
    batch = _name(path, cells)
    end_dead_runs(database)
    identities = [identity for cell in cells for identity in (cell.identity, cell.making)]
    succeeded, failed = finished_runs(database, identities), failed_runs(database, batch)
    claimed = claimed_runs(database, [cell.identity for cell in cells])
    finished = {
        cell.number: found
        for cell in cells
        if (found := succeeded.get(cell.identity) or succeeded.get(cell.making)) is not None
    }
    return Plan(
        path, batch, inputs, cells, finished,
        {cell.number: failed[cell.identity] for cell in cells if cell.identity in failed and cell.number not in finished},
        {cell.number: claimed[cell.identity] for cell in cells if cell.identity in claimed and cell.number not in finished},
        usual_seconds(database, path.name),
    )  # fmt: skip


def _cells(
    path: Path, chosen: Sequence[Mapping[str, object]], *, settings: "Settings", inputs: Inputs
) -> tuple[Cell, ...]:
    spec = read_parameters(path)
    found: list[Cell] = []
    numbers: dict[str, int] = {}
    for number, given in enumerate(chosen, 1):
        try:
            values = validate_parameters(spec, given)
        except InputError as error:
            raise InputError(f"Run {number} of the batch: {error.wrong}", found=error.found, todo=error.todo) from None
        parameters = redactor_for(values, settings).value(with_defaults(spec, values))
        same = numbers.setdefault(json_sha256(parameters), number)
        if same != number:
            raise InputError(f"Runs {same} and {number} of the batch are the same", found=dict(given))
        found.append(Cell(number, values, parameters, *inputs.identities(parameters)))
    return tuple(found)


def _name(path: Path, cells: Sequence[Cell]) -> str:
    """Return the name of a batch: its notebook's, and a hash of all its parameters."""
    every: Any = sorted(json_sha256(cell.parameters) for cell in cells)
    return f"{path.stem[:40]}-{hashlib.sha256(''.join(every).encode()).hexdigest()[:10]}"

"""Progress of a batch: how many cells ended, how many failed, the pace, and the time that is left."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from atb.experiments.batch.worker import Report

ENDED = ("succeeded", "failed")
TENTHS = 10  # lines of progress without a terminal


@dataclass
class Tally:
    """How far a batch is: its reports by cell, and the pace."""

    total: int
    began: float
    reports: "dict[int, Report]" = field(default_factory=dict)

    def take(self, report: "Report") -> None:
        """Count a cell that ended."""
        self.reports[report.number] = report

    @property
    def failed(self) -> int:
        """Cells that failed."""
        return sum(report.status == "failed" for report in self.reports.values())

    @property
    def done(self) -> int:
        """Cells that came to an end: not those that were interrupted, or are at work elsewhere."""
        return sum(report.status in ENDED for report in self.reports.values())

    def line(self) -> str:
        """Return count, failures, pace and time left."""
        done, passed = self.done, max(1e-9, time.monotonic() - self.began)
        left = (self.total - done) * passed / done if done else 0.0
        failures = f", {self.failed:,} failed" if self.failed else ""
        return f"{done:,} of {self.total:,}{failures}, {60 * done / passed:.3g} a minute, {duration(left)} left"


@contextmanager
def shown_progress(tally: Tally, *, hidden: bool) -> Iterator[Any]:
    """Yield what takes the reports, and shows them on standard error: a bar in a terminal, otherwise a line per tenth."""
    if hidden:
        yield tally.take
        return
    if not sys.stderr.isatty():
        yield _lines(tally)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    with Progress(BarColumn(), TextColumn("{task.description}"), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(tally.line(), total=tally.total)

        def take(report: "Report") -> None:
            tally.take(report)
            bar.update(task, completed=tally.done, description=tally.line())
            if report.status == "failed":
                bar.console.print(_failure(report), markup=False)

        yield take


def _lines(tally: Tally) -> Any:
    last = 0

    def take(report: "Report") -> None:
        nonlocal last
        tally.take(report)
        if report.status == "failed":
            click.echo(_failure(report), err=True)
        if (tenth := TENTHS * tally.done // max(1, tally.total)) > last:
            last = tenth
            click.echo(tally.line(), err=True)

    return take


def _failure(report: "Report") -> str:
    return f"run {report.number} failed ({report.run_id or 'not recorded'}): {report.error}"


def duration(seconds: float) -> str:
    """Return a time span as people say it."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"

"""Many backtests at once: every combination of strategies and policies over the same bars, in one compiled loop per core.

What differs between combinations is a parameter record and, between strategies, a column of sides. Indicators are computed once for
each distinct parameter and signals once for each strategy; the runs keep running sums instead of orders and equity, so memory does
not grow with their number. Threads share the bars: the compiled loop lets the interpreter's lock go. Each row of the table
equals the statistics of the single run that it names, bit by bit, because both come from the same sums.
"""

import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from atb.backtest.metrics import Columns, metrics
from atb.backtest.recording import SweepTrials
from atb.backtest.running import as_slots, run
from atb.backtest.simulation import RunSummary, summarise
from atb.backtest.span import Span
from atb.decimals import counted, number
from atb.domain.bars import series_label
from atb.domain.declaration import legs_of
from atb.domain.ports import Strategy
from atb.engine import records
from atb.engine.checks import check_count
from atb.engine.kernel_input import KernelInput, prepare
from atb.engine.parameters import slot_parameters
from atb.engine.policy import AccountPolicy, RiskPolicy
from atb.engine.records import Records
from atb.engine.slot import Slot
from atb.errors import InputError, did_you_mean
from atb.features.indicators import remembered

if TYPE_CHECKING:
    import pandas as pd

    from atb.backtest.result import Result
    from atb.trials.seen import Seen

Progress = Callable[[int, int], None]
_BAR_RUNS = 5_000_000  # bars times combinations in one task: a few hundredths of a second, so that an interrupt is felt
_LARGEST = 256  # combinations in one task


@dataclass(frozen=True)
class Combination:
    """One row of a sweep: a strategy and a policy, for every slot."""

    strategy: Strategy
    policy: RiskPolicy


class Sweep:
    """The outcome of a sweep.

    Parameters
    ----------
    slots, account, start
        What was swept, as `backtest.run` takes it.
    combinations
        What each row of the table stands for.
    table
        One row per combination that was run: the parameters that differ, then the figures of merit by their standard names.
    complete
        Whether every combination was run; an interrupted sweep keeps what was done.
    """

    def __init__(
        self, slots: tuple[Slot, ...], combinations: Sequence[Combination], *, account: AccountPolicy, start: Any,
        table: "pd.DataFrame", complete: bool,
    ) -> None:  # fmt: skip
        self.slots, self.account, self.start = slots, account, start
        self.combinations, self.table, self.complete = combinations, table, complete

    @property
    def swept(self) -> list[str]:
        """The columns of the table that are parameters: those that differ."""
        return list(self.table.columns[: self.table.columns.get_loc("final_equity")])

    @property
    def label(self) -> str:
        """Title of reports: strategies and markets, synthetic data named as such."""
        names = ", ".join(dict.fromkeys(combination.strategy.name for combination in self.combinations))
        return f"{names} · {series_label(slot.bars for slot in self.slots)}"

    @property
    def seen(self) -> "Seen":
        """How often its bars have been looked at so far, this sweep included, and what luck alone would reach by now."""
        from atb.trials.seen import seen_of

        bars = [slot.bars for slot in self.slots]
        first = (
            min(int(one.opened_ms[0]) for one in bars) if self.start is None else int(self.start.timestamp() * 1_000)
        )
        return seen_of(bars, (first, max(int(one.closed_ms[-1]) for one in bars)))

    def __len__(self) -> int:
        """Return the number of combinations that were run: the trials that a later test must count."""
        return len(self.table)

    def run(self, row: int) -> "Result":
        """Return the full result of one row of the table, given by its index label."""
        if row not in self.table.index:
            raise InputError("The sweep has no such row", found=row, todo=f"Rows are {list(self.table.index[:3])} ...")
        return run(_with(self.slots, self.combinations[row]), account=self.account, start=self.start)

    def best(self, metric: str = "sharpe", *, largest: bool = True) -> int:
        """Return the row with the best value of a figure; rows where it is undefined come last.

        The best of many is partly luck: judge it on bars that the sweep has not seen, and count the trials.
        """
        if metric not in self.table:
            raise InputError(
                "The sweep has no such figure", found=metric, todo=did_you_mean(metric, list(self.table.columns))
            )
        if self.table.empty:
            raise InputError("The sweep was interrupted before its first row was done", todo="Run it again")
        ranked = self.table[metric].sort_values(ascending=not largest, kind="stable")
        return int(ranked.index[0])

    def __repr__(self) -> str:
        """Return the swept parameters and the progress."""
        done = f"{len(self.table)}" if self.complete else f"{len(self.table)} of {len(self.combinations)} (interrupted)"
        return f"<Sweep of {done} combinations over {counted(sum(len(slot.bars) for slot in self.slots), 'bar')}>"

    def _repr_html_(self) -> str:
        """Show the ten best rows by Sharpe ratio."""
        import html

        shown = self.table.sort_values("sharpe", ascending=False).head(10)
        title = "The ten best by Sharpe ratio; the best of many is partly luck."
        return f"<p>{html.escape(f'{self!r}. {title} {self.seen}')}</p>{shown.to_html(float_format=number)}"


def sweep(
    slots: Slot | Sequence[Slot],
    *,
    policies: Sequence[RiskPolicy] | None = None,
    strategies: Sequence[Strategy] | None = None,
    account: AccountPolicy | None = None,
    start: "pd.Timestamp | None" = None,
    workers: int | None = None,
    progress: bool | Progress = False,
) -> Sweep:
    """Backtest every combination of strategies and policies.

    Parameters
    ----------
    slots
        What trades, as for `backtest.run`; each combination replaces the strategy (its `legs`) and the policy of every slot.
    policies
        From `policy.grid(...)`, or any policies; None is the slots' own.
    strategies
        From `strategies.grid(...)`, or any strategies, columns computed elsewhere included; None is the slots' own.
    account, start
        As for `backtest.run`.
    workers
        Threads; None is one for each core that this process may use.
    progress
        True draws a bar; a function is called with (done, all).

    Raises
    ------
    InputError
        If there is nothing to sweep, or a combination is refused.
    """
    chosen = as_slots(slots)
    axes = _axes(chosen, policies, strategies)
    combinations = [Combination(*pair) for pair in itertools.product(*axes)]
    if workers is not None:
        check_count("workers", workers, low=1)
    total, purse = len(combinations), AccountPolicy() if account is None else account
    sums = _Sums(total, len(chosen), account=purse, trials=SweepTrials(*axes))
    with _shown(progress, total) as report, remembered():
        finished = _sweep(chosen, combinations, sums, account=purse, start=start, workers=workers, report=report)
    done = np.flatnonzero(sums.done)
    table = _table([combinations[k] for k in done], done, sums.figures(done))
    return Sweep(chosen, combinations, account=purse, start=start, table=table, complete=finished)


def joined(
    slots: tuple[Slot, ...], strategies: Sequence[Strategy], policies: Sequence[RiskPolicy], *,
    tables: "Mapping[tuple[range, range], pd.DataFrame]", account: AccountPolicy, start: Any, complete: bool,
) -> Sweep:  # fmt: skip
    """Return the sweep of a grid that was computed in parts: tables by their strategies and policies, as numbers of the grid."""
    combinations = [Combination(*pair) for pair in itertools.product(*_axes(slots, policies, strategies))]
    rows = {
        strategy * len(policies) + policy: (part, number)
        for part in tables
        for number, (strategy, policy) in enumerate(itertools.product(*part))
    }
    kept = {
        part: {name: table[name].to_numpy() for name in table.columns[table.columns.get_loc("final_equity") :]}
        for part, table in tables.items()
    }
    done = np.array(sorted(rows), np.int64)
    names = next(iter(kept.values()), {})
    figures = {name: np.array([kept[rows[k][0]][name][rows[k][1]] for k in done], names[name].dtype) for name in names}
    table = _table([combinations[k] for k in done], done, figures)
    return Sweep(slots, combinations, account=account, start=start, table=table, complete=complete)


# --- combinations -----------------------------------------------------------------------------------------------------


def _axes(
    slots: tuple[Slot, ...], policies: Sequence[RiskPolicy] | None, strategies: Sequence[Strategy] | None
) -> tuple[Sequence[Strategy], Sequence[RiskPolicy]]:
    if not slots:
        raise InputError("A sweep needs at least one slot")
    for name, given in (("policies", policies), ("strategies", strategies)):
        if given is not None and (not isinstance(given, Sequence) or not len(given)):
            raise InputError(f"A sweep needs a list with at least one of {name}", found=given)
        if given is None and len({getattr(slot, {"policies": "policy"}.get(name, "strategy")) for slot in slots}) > 1:
            raise InputError(f"The slots differ in their {name}: say which to sweep", todo=f"Pass {name}=[...]")
    return strategies or [slots[0].strategy], policies or [slots[0].policy]


def _with(slots: tuple[Slot, ...], combination: Combination) -> tuple[Slot, ...]:
    legs = legs_of(combination.strategy, [slot.bars.symbol for slot in slots])
    return tuple(replace(slot, strategy=leg, policy=combination.policy) for slot, leg in zip(slots, legs, strict=True))


def _columns_key(slots: tuple[Slot, ...], combination: Combination) -> tuple[Any, ...]:
    """Return the values that a combination's signals depend on besides the bars."""
    policy = combination.policy
    atr = policy.atr_window if any(replace(slot, policy=policy).reads_atr for slot in slots) else None
    return id(combination.strategy), atr, policy.volatility_window if policy.reads_volatility else None


# --- running ----------------------------------------------------------------------------------------------------------


class _Sums:
    """The sums kept per combination: a few hundred bytes, however many bars."""

    def __init__(self, combinations: int, slots: int, *, account: AccountPolicy, trials: SweepTrials) -> None:
        self.account, self.trials = account, trials
        self.summaries = np.zeros(combinations, records.SUMMARY)
        self.accounts = np.zeros(combinations, records.ACCOUNT)
        self.slots = np.zeros((combinations, slots), records.SLOT)
        self.times = np.zeros((combinations, 2))  # periods: the longest below a peak, and in the market
        self.span: Span | None = None  # of the bars, which all combinations share; none before the first was prepared
        self.done = np.zeros(combinations, bool)
        self._figures: tuple[NDArray[np.int64], Columns] | None = None

    def figures(self, rows: NDArray[np.int64]) -> Columns:
        """Return the figures of merit of some combinations; the last ones are kept, which table and ledger both ask for."""
        if self._figures is not None and np.array_equal(self._figures[0], rows):
            return self._figures[1]
        found = metrics(
            self.summaries[rows],
            self.accounts[rows],
            self.slots[rows],
            times=self.times[rows],
            cash=self.account.cash,
            span=self.span or Span(np.ones(1), 1.0),
        )
        self._figures = rows, found
        return found


def _sweep(
    slots: tuple[Slot, ...], combinations: list[Combination], sums: _Sums, *, account: AccountPolicy, start: Any,
    workers: int | None, report: Progress,
) -> bool:  # fmt: skip
    """Run everything; return True if finished, False if interrupted."""
    count, stopped = workers or _cores(), False
    pool = ThreadPoolExecutor(count, thread_name_prefix="sweep")
    waiting: list[Future[None]] = []
    try:
        for task in _tasks(slots, combinations, sums, account=account, start=start):
            waiting.append(pool.submit(task))
            while len(waiting) > 2 * count:  # signals of strategies far ahead would only fill the memory
                waiting.pop(0).result()
                report(int(sums.done.sum()), len(combinations))
                if sums.trials.due:
                    sums.trials.write(sums.done, sums.figures)
        for future in waiting:
            future.result()
            report(int(sums.done.sum()), len(combinations))
    except KeyboardInterrupt:
        stopped = True
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        sums.trials.write(sums.done, sums.figures)
    return not stopped


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _tasks(
    slots: tuple[Slot, ...], combinations: list[Combination], sums: _Sums, *, account: AccountPolicy, start: Any
) -> Iterator[Callable[[], None]]:
    """Yield pieces of work, each over combinations that share their signals."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for k, combination in enumerate(combinations):
        groups.setdefault(_columns_key(slots, combination), []).append(k)
    for members in groups.values():
        inputs = prepare(_with(slots, combinations[members[0]]), account, start)
        sums.span = sums.span or Span.of(inputs)
        sums.trials.begin(inputs)
        size = int(np.clip(_BAR_RUNS // len(inputs.bar_columns.opened), 1, _LARGEST))
        for first in range(0, len(members), size):
            yield _Task(inputs, members[first : first + size], combinations, sums)


@dataclass(frozen=True)
class _Task:
    """Some combinations on the same inputs."""

    inputs: KernelInput
    members: list[int]
    combinations: list[Combination]
    sums: _Sums

    def __call__(self) -> None:
        """Run them and keep their sums."""
        slots = self.inputs.slots
        parameters = np.array(
            [
                [slot_parameters(self.combinations[k].policy, slot.execution, slot.rules) for slot in slots]
                for k in self.members
            ],
            records.SLOT_PARAMETERS,
        )
        sums, rows = self.sums, np.array(self.members)
        ended = [self._run(k, own) for k, own in zip(self.members, parameters, strict=True)]
        sums.summaries[rows] = np.array([run.summary for run in ended], records.SUMMARY)
        sums.accounts[rows] = np.array([run.account for run in ended], records.ACCOUNT)
        sums.slots[rows] = np.stack([run.slots for run in ended])
        sums.times[rows] = [[run.below, run.exposed] for run in ended]
        sums.done[rows] = True

    def _run(self, combination: int, parameters: Records) -> RunSummary:
        curve = self.sums.trials.curve(combination)
        ended = summarise(self.inputs, parameters, equity=curve)
        self.sums.trials.keep(combination, curve)
        return ended


# --- the table --------------------------------------------------------------------------------------------------------


def _table(done: list[Combination], rows: NDArray[np.int64], figures: dict[str, NDArray[np.float64]]) -> "pd.DataFrame":
    """Return parameters that differ and figures, indexed by the combination's number."""
    import pandas as pd

    strategies, policies = [_plain(each.strategy) for each in done], [_plain(each.policy) for each in done]
    columns: dict[str, Any] = {}
    for prefix, values in (("strategy", strategies), ("policy", policies)):
        for name in dict.fromkeys(itertools.chain.from_iterable(values)):
            column = [value.get(name) for value in values]
            if any(value != column[0] for value in column):
                columns[name if name not in {*columns, *figures} else f"{prefix}.{name}"] = column
    return pd.DataFrame(columns | figures, index=pd.Index(rows, name="row"))


def _plain(value: Any) -> dict[str, Any]:
    """Return the fields of a strategy or policy that are plain values, and a strategy's name."""
    found = {"strategy": value.name} if hasattr(value, "name") else {}
    if is_dataclass(value):
        found |= {each.name: getattr(value, each.name) for each in fields(value)}
    found |= getattr(value, "table_values", {})  # a rule's constants are columns of their own
    return {name: each for name, each in found.items() if each is None or isinstance(each, int | float | str | tuple)}


def _shown(progress: bool | Progress, total: int) -> AbstractContextManager[Progress]:
    if progress is True:
        return ProgressBar(total)
    return nullcontext(progress if callable(progress) else lambda _done, _total: None)


class ProgressBar:
    """A progress bar, drawn on the terminal or in the notebook."""

    def __init__(self, total: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("sweep"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), transient=True
        )
        self._task = self._bar.add_task("sweep", total=total)

    def __enter__(self) -> Progress:
        self._bar.start()
        return lambda done, _: self._bar.update(self._task, completed=done)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

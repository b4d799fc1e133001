"""The check of a strategy's columns: a process that knows only the warm-up and the bars up to a bar gets the same values.

A backtest computes columns over the whole history at once; a runner computes the newest row, from the declared warm-up and the
newest bar (`atb.engine.prepare.latest`). Here the runner's way is applied to the backtest's bars, in isolated processes
(`atb.validation.isolated`). Sides must be equal. Confidence, stops, prices, ATR, volatility and predictions may differ by a
billionth, since recursive indicators forget their start only up to the last bits. Precomputed sides
(`atb.strategies.from_signals`) have no source to run and are not checked.

It checks warm-up and look-ahead together and names the cause of a difference: *not repeatable* if the backtest's own call gives
other values in a new process (chance, memory, a file); *looks ahead* if all bars up to then, and none after, give other values;
*warm-up too short* if only the missing older bars explain it. Clusters belong to the account and are not compared: backtest and
runner compute them alike from days of closes.
"""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from atb.decimals import counted
from atb.engine.records import Floats, Rows
from atb.strategies.from_signals import GivenSides
from atb.validation.isolated import NAMES
from atb.validation.processes import Processes, Recomputed, Span, spans_of

if TYPE_CHECKING:
    from atb.engine.kernel_input import KernelInput
    from atb.engine.slot import Slot

LOOKS_AHEAD, SHORT_WARMUP, NOT_REPEATABLE = "looks ahead", "warm-up too short", "not repeatable"
_RELATIVE, _ABSOLUTE = 1e-9, 1e-12  # the second in units of the price where a column is one
_PRICES = ("atr", "stop", "price")
_EXPLAINED = 64  # of the rows that differ


@dataclass(frozen=True)
class WindowsReport:
    """Report of the check of one slot.

    Parameters
    ----------
    equal
        True if every column of every checked bar equals the backtest's; None if there was no bar to check.
    checked, bars
        Number of traded bars checked, and of traded bars.
    cold
        Traded bars with less than the declared warm-up before them; checked with what there is.
    warmup
        Bars known before each.
    differing
        Checked bars with a difference.
    kinds
        Number of explained differing bars by cause: `looks ahead`, `warm-up too short`, `not repeatable`.
    largest
        Largest relative difference that was tolerated.
    first_difference
        The earliest differing bar: its open, the column, both values, and the cause.
    """

    strategy: str
    symbol: str
    equal: bool | None
    checked: int
    bars: int
    cold: int
    warmup: int
    differing: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    largest: float = 0.0
    first_difference: dict[str, Any] | None = None

    @property
    def complete(self) -> bool:
        """True if every traded bar was checked."""
        return self.checked == self.bars > 0

    @property
    def everywhere(self) -> bool | None:
        """True if every traded bar was checked and equal; None if no difference was found in a sample."""
        return False if self.equal is False else (True if self.equal and self.complete else None)

    @property
    def lookahead_clean(self) -> bool | None:
        """True if nothing looks ahead; None if unknown, as when only a sample was checked."""
        if LOOKS_AHEAD in self.kinds:
            return False
        explained = self.kinds.get(SHORT_WARMUP, 0) == self.differing
        return True if self.complete and explained else None

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        """Return the verdict in one line."""
        share = (
            f"{self.checked:,} of {counted(self.bars, 'bar')}"
            if self.checked < self.bars
            else counted(self.bars, "bar")
        )
        if self.equal is None:
            return "No bar was computed as a runner computes it"
        if self.equal:
            return f"{share} computed again from the {counted(self.warmup, 'bar')} before each, as a runner does: equal"
        found = self.first_difference or {}
        kinds = ", ".join(f"{kind} ({count:,})" for kind, count in self.kinds.items())
        return (
            f"{self.differing:,} of {share} {'is' if self.differing == 1 else 'are'} NOT what a runner computes from the "
            f"{counted(self.warmup, 'bar')} before each, first "
            f"{found.get('opened')} {found.get('column')}: backtest {found.get('backtest')}, runner {found.get('runner')}; {kinds}"
        )


def all_of(answers: Iterable[bool | None]) -> bool | None:
    """Return True if all are true, False if one is false, else None."""
    found = set(answers)
    return False if False in found else (None if None in found or not found else True)


@dataclass(frozen=True)
class Checked:
    """A report and the recomputed columns: (R, 7) floats in the order of `NAMES` at R rows of the slot's traded bars."""

    report: WindowsReport
    rows: Rows
    values: Floats


def check_windows(inputs: "KernelInput", *, most: int | None = None, seed: int = 7) -> tuple[Checked, ...]:
    """Recompute every slot's columns bar by bar and compare them with the backtest's.

    Parameters
    ----------
    inputs
        The inputs of a backtest: the columns that were traded.
    most
        Bars to check per slot, a random sample of the traded ones; None: all.
    seed
        Seed of the sample.

    Raises
    ------
    InputError
        If a strategy or predictor cannot be taken to another process.
    """
    samples = [_Sample.of(inputs, number, most=most, seed=seed) for number in range(len(inputs.slots))]
    with Processes(sum(len(sample.chosen) for sample in samples)) as processes:
        return tuple(
            _check_slot(inputs, number, sample=sample, processes=processes) for number, sample in enumerate(samples)
        )


@dataclass(frozen=True)
class _Sample:
    """The traded bars of a slot that are checked, and what draws their spans."""

    place: range
    chosen: Rows
    rng: np.random.Generator

    @classmethod
    def of(cls, inputs: "KernelInput", number: int, *, most: int | None, seed: int) -> "_Sample":
        """Draw a slot's sample."""
        part, rng = inputs.parts[number], np.random.default_rng(seed)
        place = range(part.start, part.stop)
        given = isinstance(inputs.slots[number].strategy, GivenSides)
        return cls(place, _chosen(len(place), 0 if given else most, rng), rng)


def _check_slot(inputs: "KernelInput", number: int, *, sample: _Sample, processes: Processes) -> Checked:
    slot, place, chosen = inputs.slots[number], sample.place, sample.chosen
    before = len(slot.bars) - len(place)
    report = WindowsReport(
        strategy=slot.strategy.name, symbol=str(slot.bars.symbol), equal=None, checked=len(chosen), bars=len(place),
        cold=max(0, min(len(place), slot.warmup - before)), warmup=slot.warmup,
    )  # fmt: skip
    if not len(chosen):
        return Checked(report, chosen, np.empty((0, len(NAMES))))
    rows, wanted = chosen + before, _traded(inputs, number, place)[chosen]
    recomputed = processes.run(slot, list(spans_of(rows, slot.warmup, rng=sample.rng)), rows)
    found = _Comparison(slot, rows, wanted, recomputed, processes)
    return Checked(replace(report, **found.differences(number)), chosen, recomputed.values)


@dataclass(frozen=True)
class _Comparison:
    """A slot's columns at some rows: the backtest's and the recomputed ones."""

    slot: "Slot"
    rows: Rows
    wanted: Floats
    found: Recomputed
    processes: Processes

    def differences(self, number: int) -> dict[str, Any]:
        """Return the report's fields on differences."""
        apart = self.apart(self.found.values)
        bad = np.flatnonzero((apart > _RELATIVE).any(axis=1))
        fields = {
            "equal": not len(bad),
            "differing": len(bad),
            "largest": float(apart[apart <= _RELATIVE].max(initial=0.0)),
        }
        if not len(bad):
            return fields
        kinds, kind = replace(self, rows=self.rows[bad], wanted=self.wanted[bad]).kinds()
        first, column = bad[0], int(np.argmax(apart[bad[0]] > _RELATIVE))
        runner = self.found.raised.get(int(self.rows[first])) or _plain(self.found.values[first, column])
        return fields | {"kinds": kinds, "first_difference": {
            "slot": number, "symbol": str(self.slot.bars.symbol), "strategy": self.slot.strategy.name,
            "opened": self.slot.bars.frame.index[self.rows[first]].isoformat(), "column": NAMES[column],
            "backtest": _plain(self.wanted[first, column]), "runner": runner, "kind": kind,
        }}  # fmt: skip

    def apart(self, theirs: Floats) -> Floats:
        """Return the relative distance of columns from the backtest's: 0 if equal, infinite if they must be equal and are not."""
        close = self.slot.bars.frame["close"].to_numpy()[self.rows]
        scale = np.where([name in _PRICES for name in NAMES], close[:, None], 1.0) * (_ABSOLUTE / _RELATIVE)
        ours = self.wanted
        with np.errstate(invalid="ignore"):
            apart = np.abs(ours - theirs) / np.maximum(np.maximum(np.abs(ours), np.abs(theirs)), scale)
        apart[np.isnan(apart)] = np.inf
        apart[:, 0] = np.where(apart[:, 0] > 0, np.inf, 0.0)
        apart[(ours == theirs) | (np.isnan(ours) & np.isnan(theirs))] = 0.0
        return apart

    def kinds(self) -> tuple[dict[str, int], str]:
        """Return the number of examined rows by cause, and the cause of the first."""
        looked = np.unique(np.linspace(0, len(self.rows) - 1, _EXPLAINED).astype(np.int64))
        some = replace(self, rows=self.rows[looked], wanted=self.wanted[looked])
        rows, bars = some.rows.tolist(), self.slot.bars
        again = Span(0, len(bars), tuple(rows), -1)
        past = [Span(0, row + 1, (row,), None) for row in rows]
        values = self.processes.run(self.slot, [again, *past], np.tile(some.rows, 2)).values
        lost, ahead = ((some.apart(half) > _RELATIVE).any(axis=1) for half in np.split(values, 2))
        names = np.where(lost, NOT_REPEATABLE, np.where(ahead, LOOKS_AHEAD, SHORT_WARMUP)).tolist()
        return {kind: names.count(kind) for kind in dict.fromkeys(names)}, names[0]


def _traded(inputs: "KernelInput", number: int, place: range) -> Floats:
    """Return the backtest's columns of a slot, (N, 7)."""
    signals = inputs.signals[place.start : place.stop]
    prediction = inputs.predictions[number]
    columns = [np.asarray(signals[name], np.float64) for name in NAMES[:-1]]
    return np.column_stack([*columns, np.full(len(place), np.nan) if prediction is None else prediction])


def _chosen(count: int, most: int | None, rng: np.random.Generator) -> Rows:
    """Return the bars to check: all, or one at random from each of `most` equal parts."""
    if most is None or 0 < count <= most:
        return np.arange(count)
    if most <= 0:
        return np.arange(0)
    edges = np.linspace(0, count, most + 1).astype(np.int64)
    return edges[:-1] + (rng.random(most) * np.diff(edges)).astype(np.int64)


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)

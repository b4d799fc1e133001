"""The one check of a strategy's columns: a process that knows only the warm-up and the bars up to a bar says the same of it.

A backtest computes columns over the whole history at once; a runner computes the newest row, from the declared warm-up and the
newest bar (`atb.engine.prepare.latest`). Here the second is done for the bars of the first, in processes that know nothing else
(`atb.validation.isolated`). Sides must be equal. Confidence, stops, prices, ranges, volatility and predictions may be apart by a
billionth: recursive indicators forget their start only to the last bits. Sides that were given (`atb.strategies.from_signals`) have
no source that could be run, and are not checked.

It is warm-up and look-ahead together, and tells them apart where something differs: what the backtest's own call does not repeat in
a new process is *not repeatable* (chance, a memory, a file); what all bars up to then, and none after, say otherwise than the
backtest *looks ahead*; what only the missing older bars explain has a *warm-up that is too short*. Clusters are not compared: they
are the account's, and computed from days of closes in backtest and runner alike.
"""

import dataclasses
import itertools
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atb.domain import Bars
from atb.domain.bars import BAR_COLUMNS
from atb.engine.records import Floats, Rows
from atb.errors import InputError
from atb.strategies.from_signals import GivenSides
from atb.validation.isolated import BEGINS, NAMES, Block
from atb.validation.sources import parts_of

if TYPE_CHECKING:
    from atb.engine.prepare import KernelInput
    from atb.engine.slot import Slot

_Answer = tuple[list[tuple[float, ...]], str]

LOOKS_AHEAD, SHORT_WARMUP, NOT_REPEATABLE = "looks ahead", "warm-up too short", "not repeatable"
_RELATIVE, _ABSOLUTE = 1e-9, 1e-12  # the second in units of the price where a column is one
_PRICES = ("atr", "stop", "price")
_BLOCK = (32, 96)  # rows between two fresh starts, drawn at random
_EXPLAINED = 64  # of the rows that differ
_KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")


@dataclass(frozen=True)
class WindowsReport:
    """What the check of one slot found.

    Parameters
    ----------
    equal
        Whether every column of every checked bar was the backtest's; None where there was no bar to check.
    checked, bars
        How many of the traded bars were checked, and how many there are.
    cold
        Traded bars before which the declared warm-up is not there; they are checked with what is.
    warmup
        Bars before each that were known.
    differing
        Checked bars at which something differs.
    kinds
        By `looks ahead`, `warm-up too short` and `not repeatable`: how many of the differing bars that were explained are so.
    largest
        Largest relative difference that was let pass.
    first_difference
        Of the earliest differing bar: its open, the column, the backtest's value, the runner's, and the kind.
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
        """Whether every traded bar was checked."""
        return self.checked == self.bars > 0

    @property
    def everywhere(self) -> bool | None:
        """Whether every traded bar was checked and equal; None where no difference was found, but not everywhere looked for."""
        return False if self.equal is False else (True if self.equal and self.complete else None)

    @property
    def lookahead_clean(self) -> bool | None:
        """Whether nothing looks ahead; None where that is not known, as where not every bar was checked."""
        if LOOKS_AHEAD in self.kinds:
            return False
        explained = self.kinds.get(SHORT_WARMUP, 0) == self.differing
        return True if self.complete and explained else None

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        """Return the verdict in one line."""
        share = f"{self.checked:,} of {self.bars:,} bars" if self.checked < self.bars else f"{self.bars:,} bars"
        if self.equal is None:
            return "No bar was computed as a runner computes it"
        if self.equal:
            return f"{share} computed again from the {self.warmup:,} bars before each, as a runner does: equal"
        found = self.first_difference or {}
        kinds = ", ".join(f"{kind} ({count:,})" for kind, count in self.kinds.items())
        return (
            f"{self.differing:,} of {share} are NOT what a runner computes from the {self.warmup:,} bars before each, first "
            f"{found.get('opened')} {found.get('column')}: backtest {found.get('backtest')}, runner {found.get('runner')}; {kinds}"
        )


def all_of(answers: Iterable[bool | None]) -> bool | None:
    """Return whether all are true: False where one is not, else None where one is not known."""
    found = set(answers)
    return False if False in found else (None if None in found or not found else True)


@dataclass(frozen=True)
class Checked:
    """A report, and what was computed: (R, 7) floats in the order of `NAMES` at R rows of the slot's traded bars."""

    report: WindowsReport
    rows: Rows
    values: Floats


def check_windows(inputs: "KernelInput", *, most: int | None = None, seed: int = 7) -> tuple[Checked, ...]:
    """Compute every slot's columns anew, bar by bar, and compare them with the problem's.

    Parameters
    ----------
    problem
        Of a backtest: the very columns that were traded.
    most
        Bars to check per slot, spread at random over the traded ones; None: all.
    seed
        Of what is drawn.

    Raises
    ------
    InputError
        If a strategy or predictor cannot be taken to another process.
    """
    ends = (*inputs.offsets[1:], len(inputs.market))
    return tuple(
        _check_slot(inputs, number, range(first, end), most=most, seed=seed)
        for number, (first, end) in enumerate(zip(inputs.offsets, ends, strict=True))
    )


def _check_slot(inputs: "KernelInput", number: int, place: range, *, most: int | None, seed: int) -> Checked:
    slot, rng = inputs.slots[number], np.random.default_rng(seed)
    before = len(slot.bars) - len(place)
    chosen = _chosen(len(place), 0 if isinstance(slot.strategy, GivenSides) else most, rng)
    report = WindowsReport(
        strategy=slot.strategy.name, symbol=str(slot.bars.symbol), equal=None, checked=len(chosen), bars=len(place),
        cold=max(0, min(len(place), slot.warmup - before)), warmup=slot.warmup,
    )  # fmt: skip
    if not len(chosen):
        return Checked(report, chosen, np.empty((0, len(NAMES))))
    rows, wanted = chosen + before, _traded(inputs, number, place)[chosen]
    told = _run(slot, list(_spans(rows, slot.warmup, rng=rng)), rows)
    found = _Comparison(slot, rows, wanted, told)
    return Checked(dataclasses.replace(report, **found.told(number)), chosen, told.values)


@dataclass(frozen=True)
class _Told:
    """What was computed at some rows, (R, 7), infinite where something was raised; and that, by row."""

    values: Floats
    raised: dict[int, str]


@dataclass(frozen=True)
class _Comparison:
    """A slot's columns at some rows: the backtest's, and what was told of them."""

    slot: "Slot"
    rows: Rows
    wanted: Floats
    found: _Told

    def told(self, number: int) -> dict[str, Any]:
        """Return what a report says of the differences."""
        apart = self.apart(self.found.values)
        bad = np.flatnonzero((apart > _RELATIVE).any(axis=1))
        told = {
            "equal": not len(bad),
            "differing": len(bad),
            "largest": float(apart[apart <= _RELATIVE].max(initial=0.0)),
        }
        if not len(bad):
            return told
        kinds, kind = _Comparison(self.slot, self.rows[bad], self.wanted[bad], self.found).kinds()
        first, column = bad[0], int(np.argmax(apart[bad[0]] > _RELATIVE))
        runner = self.found.raised.get(int(self.rows[first])) or _plain(self.found.values[first, column])
        return told | {"kinds": kinds, "first_difference": {
            "slot": number, "symbol": str(self.slot.bars.symbol), "strategy": self.slot.strategy.name,
            "opened": self.slot.bars.frame.index[self.rows[first]].isoformat(), "column": NAMES[column],
            "backtest": _plain(self.wanted[first, column]), "runner": runner, "kind": kind,
        }}  # fmt: skip

    def apart(self, theirs: Floats) -> Floats:
        """Return how far other columns are apart from the backtest's: 0 where equal, infinite where they must be and are not."""
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
        """Return how many rows, of those that are looked at, differ for which reason, and the first one's."""
        looked = np.unique(np.linspace(0, len(self.rows) - 1, _EXPLAINED).astype(np.int64))
        some = _Comparison(self.slot, self.rows[looked], self.wanted[looked], self.found)
        rows, bars = some.rows.tolist(), self.slot.bars
        again = _Span(0, len(bars), tuple(rows), -1)
        past = [_Span(0, row + 1, (row,), None) for row in rows]
        told = _run(self.slot, [again, *past], np.tile(some.rows, 2)).values
        lost, ahead = ((some.apart(half) > _RELATIVE).any(axis=1) for half in np.split(told, 2))
        names = np.where(lost, NOT_REPEATABLE, np.where(ahead, LOOKS_AHEAD, SHORT_WARMUP)).tolist()
        return {kind: names.count(kind) for kind in dict.fromkeys(names)}, names[0]


def _traded(inputs: "KernelInput", number: int, place: range) -> Floats:
    """Return the backtest's columns of a slot, (N, 7)."""
    signals = inputs.signals[place.start : place.stop]
    prediction = inputs.predictions[number]
    columns = [np.asarray(signals[name], np.float64) for name in NAMES[:-1]]
    return np.column_stack([*columns, np.full(len(place), np.nan) if prediction is None else prediction])


def _chosen(count: int, most: int | None, rng: np.random.Generator) -> Rows:
    """Return which bars to check: all, or one at random of each of `most` equal parts."""
    if most is None or 0 < count <= most:
        return np.arange(count)
    if most <= 0:
        return np.arange(0)
    edges = np.linspace(0, count, most + 1).astype(np.int64)
    return edges[:-1] + (rng.random(most) * np.diff(edges)).astype(np.int64)


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


@dataclass(frozen=True)
class _Span:
    """Rows of a slot's bars that one fork answers for, in order; with window -1 by one call over bars `first` to before `end`."""

    first: int
    end: int
    rows: tuple[int, ...]
    window: int | None

    def begun(self, bars: Bars) -> Block:
        """Return what is known at the first row."""
        if self.window == -1:
            return Block(_part(bars, self.first, self.end), None, tuple(row - self.first for row in self.rows))
        return Block(_part(bars, self.first, self.rows[0] + 1), self.window)

    def later(self, bars: Bars) -> "Iterator[tuple[Any, Any] | None]":
        """Yield the bars that closed since the row before, for each row but the first; then None: that was all."""
        opened, values = bars.frame.index.asi8, bars.frame[list(BAR_COLUMNS)].to_numpy()  # type: ignore[attr-defined]
        for before, row in itertools.pairwise(self.rows if self.window != -1 else ()):
            yield opened[before + 1 : row + 1], values[before + 1 : row + 1]
        yield None


def _part(bars: Bars, first: int, end: int) -> Bars:
    frame = bars.frame[list(BAR_COLUMNS)].iloc[first:end].copy()
    return Bars(bars.symbol, bars.timeframe, frame, bars.venue)


def _spans(rows: Rows, window: int, *, rng: np.random.Generator) -> Iterator[_Span]:
    """Yield the rows in spans of random length, each from its first window on."""
    at = 0
    while at < len(rows):
        part = tuple(rows[at : at + int(rng.integers(*_BLOCK))].tolist())
        yield _Span(max(0, part[0] - window), part[-1] + 1, part, window)
        at += len(part)


def _run(slot: "Slot", spans: Sequence[_Span], rows: Rows) -> _Told:
    """Return what processes of their own computed at `rows`, those of all spans in order."""
    workers = min(2, os.cpu_count() or 1, 1 + len(rows) // 500)
    parts = parts_of(slot)
    with ThreadPoolExecutor(workers) as pool:
        shares = list(pool.map(lambda first: _ask(parts, spans[first::workers], slot.bars), range(workers)))
    values, raised, at = np.full((len(rows), len(NAMES)), np.inf), {}, 0  # nothing equals what is not told
    for number, span in enumerate(spans):
        told, error = shares[number % workers][number // workers]
        if told:
            values[at : at + len(told)] = told
        raised.update(dict.fromkeys(rows[at + len(told) : at + len(span.rows)].tolist(), error))
        at += len(span.rows)
    return _Told(values, raised)


def _ask(parts: dict[str, Any], spans: Sequence[_Span], bars: Bars) -> list[_Answer]:
    """Start a process, tell it the spans one after another, and return its answers."""
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | {"OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            [sys.executable, "-c", "from atb.validation.isolated import main; main()"], env=environment, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=complaints, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        answers: list[_Answer] = []
        with suppress(BrokenPipeError, EOFError), process:  # it ended: its last words say why
            _tell(process, [path or str(Path.cwd()) for path in sys.path])
            _tell(process, parts)
            answers.extend(_conversation(process, span, bars) for span in spans)
        complaints.seek(0)
        if process.returncode:
            said = complaints.read().decode(errors="replace").strip().splitlines()[-1:]
            raise InputError("A strategy could not be taken to a process of its own", found=" ".join(said),
                             todo="Put it into a module that can be imported, with parameters that are plain values")  # fmt: skip
    return answers


def _conversation(process: Any, span: _Span, bars: Bars) -> _Answer:
    """Ask for the rows of a span one after another, and return what was told of them, and what was raised at the next."""
    _tell(process, BEGINS)
    told: list[tuple[float, ...]] = []
    error, later = "", span.later(bars)
    while True:
        kind, value = pickle.load(process.stdout)  # noqa: S301 - from the process that was started here
        if kind == "ended":
            return told, error or f"the process died with status {value}"
        if kind == "raised":
            error = value
        elif kind == "begun":
            _tell(process, span.begun(bars))
        else:
            told.extend(value)
            _tell(process, next(later))


def _tell(process: Any, message: Any) -> None:
    pickle.dump(message, process.stdin)
    process.stdin.flush()

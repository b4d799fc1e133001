"""Isolated processes that compute columns for spans of rows, each row from the bars known at it.

A process is started when it is first needed and serves all slots of a check, one after another, so that a hundred slots cost one
start, about a second; it is then kept for the next check. It loads libraries and nothing else: each strategy is loaded once, in a
fork that has seen no other, and no bar is seen there: blocks are computed in forks of that fork (`atb.validation.isolated`).
"""

import atexit
import dataclasses
import itertools
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from atb.domain import Bars
from atb.domain.bars import BAR_COLUMNS
from atb.domain.input_series import InputSeries
from atb.engine.records import Floats, Rows
from atb.errors import InputError
from atb.validation.isolated import BEGINS, ENDS, NAMES, SLOT, Block
from atb.validation.sources import parts_of

if TYPE_CHECKING:
    from atb.engine.slot import Slot

_Answer = tuple[list[tuple[float, ...]], str]

_BLOCK = (128, 384)  # rows between two fresh starts, drawn at random
_KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")


@dataclass(frozen=True)
class Recomputed:
    """Recomputed columns at some rows, (R, 7), infinite where an error was raised; and the errors by row."""

    values: Floats
    raised: dict[int, str]


@dataclass(frozen=True)
class Span:
    """Rows of a slot's bars that one fork answers for, in order; with window -1 by one call over bars `first` up to `end`."""

    first: int
    end: int
    rows: tuple[int, ...]
    window: int | None

    def begun(self, market: "_Market") -> Block:
        """Return the block known at the first row."""
        if self.window == -1:
            bars, rows = _part(market.bars, self.first, self.end), tuple(row - self.first for row in self.rows)
            return Block(bars, None, rows, market.inputs_over(bars))
        bars = _part(market.bars, self.first, self.rows[0] + 1)
        return Block(bars, self.window, inputs=market.inputs_over(bars))

    def later(self, market: "_Market") -> "Iterator[tuple[bytes, bytes, dict[str, InputSeries]] | None]":
        """Yield what became known since the row before, for each row but the first: bars as bytes, and inputs; then None."""
        index: Any = market.bars.frame.index  # its integers are not in the stubs
        opened, values = index.asi8, market.bars.frame.to_numpy(np.float64)
        for before, row in itertools.pairwise(self.rows if self.window != -1 else ()):
            new = market.inputs_between(before, row)
            yield opened[before + 1 : row + 1].tobytes(), values[before + 1 : row + 1].tobytes(), new
        yield None


@dataclass(frozen=True)
class _Market:
    """A slot's bars, and the rows of its inputs by name."""

    bars: Bars
    inputs: Mapping[str, InputSeries]

    def inputs_over(self, bars: Bars) -> dict[str, InputSeries]:
        """Return the rows of each input that are known over these bars, with its warm-up."""
        return {name: series.cut(bars.closed_ms).copied() for name, series in self.inputs.items()}

    def inputs_between(self, before: int, row: int) -> dict[str, InputSeries]:
        """Return the rows of each input that became known after one bar's close and up to another's; only inputs that have any."""
        found = {}
        for name, series in self.inputs.items():
            ends = np.searchsorted(series.known_ms, self.bars.closed_ms[[before, row]], side="right")
            if ends[0] < ends[1]:
                found[name] = series.part(int(ends[0]), int(ends[1])).copied()
        return found


def _part(bars: Bars, first: int, end: int) -> Bars:
    part = bars.rows(first, end)
    return dataclasses.replace(part, frame=part.frame.copy())


def spans_of(rows: Rows, window: int, *, rng: np.random.Generator) -> Iterator[Span]:
    """Yield the rows in spans of random length, each from its first window on."""
    at = 0
    while at < len(rows):
        part = tuple(rows[at : at + int(rng.integers(*_BLOCK))].tolist())
        yield Span(max(0, part[0] - window), part[-1] + 1, part, window)
        at += len(part)


class Processes:
    """The isolated processes of one check: one, or two if there is enough to do for both; kept from the check before or started.

    Parameters
    ----------
    rows
        Number of rows that will be asked for, over all slots.
    """

    def __init__(self, rows: int) -> None:
        """Start nothing yet."""
        self._all = [_IDLE.take() for _ in range(min(2, os.cpu_count() or 1, 1 + rows // 500))]

    def __enter__(self) -> Self:
        """Be ready to start the processes."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Keep the processes for the next check, or end them if something went wrong."""
        for process in self._all:
            if kind is not None or not _IDLE.keep(process):
                process.end()

    def run(self, slot: "Slot", spans: Sequence[Span], rows: Rows) -> Recomputed:
        """Return a slot's columns at `rows`, the rows of all spans in order.

        Raises
        ------
        InputError
            If the strategy or its predictor cannot be taken to another process.
        """
        workers, parts = min(len(self._all), len(spans)), parts_of(slot)
        bars = dataclasses.replace(slot.bars, frame=slot.bars.frame[list(BAR_COLUMNS)], gaps=())
        market = _Market(bars, slot.handed)
        with ThreadPoolExecutor(workers) as pool:
            shares = list(pool.map(lambda i: self._all[i].answers(parts, spans[i::workers], market), range(workers)))
        values, raised, at = np.full((len(rows), len(NAMES)), np.inf), {}, 0  # infinity equals no value
        for number, span in enumerate(spans):
            answered, error = shares[number % workers][number // workers]
            if answered:
                values[at : at + len(answered)] = answered
            raised.update(dict.fromkeys(rows[at + len(answered) : at + len(span.rows)].tolist(), error))
            at += len(span.rows)
        return Recomputed(values, raised)


class _Process:
    """One isolated process, started with the first slot."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._started: Any = None
        self._stderr: Any = None
        self._code: dict[str, Any] = {}  # strategy and predictor that are loaded
        self._world = _world()

    def serves(self) -> bool:
        """Return True if it waits for a strategy and was started as a new one would be."""
        return self._world == _world() and self._started is not None and self._started.poll() is None

    def end(self) -> None:
        """End it; one that another process started is left to that process."""
        if self._world[0] == os.getpid():
            with suppress(BrokenPipeError):  # it ended before it was asked to
                self._open.close()

    def has_unloaded(self) -> bool:
        """End the fork with the strategy; return whether it ended well."""
        if not self._code:
            return True
        self._code = {}
        with suppress(OSError, EOFError):
            _send(self._started, ENDS)
            return _receive(self._started)[0] == "ended"
        return False

    def answers(self, parts: dict[str, Any], spans: Sequence[Span], market: _Market) -> list[_Answer]:
        """Send a slot and its spans one after another; return the answers."""
        found: list[_Answer] = []
        with suppress(BrokenPipeError, EOFError):  # it ended: stderr says why
            process = self._started or self._start()
            self._send_slot(process, parts)
            found.extend(_answers_of(process, span, market) for span in spans)
        if len(found) < len(spans):
            raise InputError("A strategy could not be taken to a process of its own", found=self._last_words(),
                             todo="Put it into a module that can be imported, with parameters that are plain values")  # fmt: skip
        return found

    def _send_slot(self, process: Any, parts: dict[str, Any]) -> None:
        """Send a slot; only what differs if its strategy and predictor are those of the slot before."""
        code = {name: parts[name] for name in ("strategy", "predictor")}
        if code == self._code:
            _send(process, {name: part for name, part in parts.items() if name not in code})
            return
        if self._code:
            _send(process, ENDS)
            _receive(process)  # its fork has ended
        self._code = code
        _send(process, SLOT)
        _receive(process)  # its fork is there and reads from now on
        _send(process, parts)

    def _start(self) -> Any:
        _, environment, path = self._world
        self._stderr = self._open.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - closed with the process
        self._started = self._open.enter_context(subprocess.Popen(
            [sys.executable, "-c", "from atb.validation.isolated import main; main()"], env=dict(environment),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr, cwd=Path(__file__).parents[2],
        ))  # fmt: skip
        _send(self._started, list(path))
        return self._started

    def _last_words(self) -> str:
        """Wait until the process has ended, and return the last line that it wrote."""
        with suppress(BrokenPipeError):
            self._started.stdin.close()
        self._started.wait()
        self._stderr.seek(0)
        return " ".join(self._stderr.read().decode(errors="replace").strip().splitlines()[-1:])


class _Idle:
    """Processes that wait for another check, about 100 MB each; they end with this process."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._all: list[_Process] = []
        atexit.register(self.end)

    def take(self) -> _Process:
        """Return one that was started as a new one would be now, or one to be started."""
        while self._all:
            process = self._all.pop()
            if process.serves():
                return process
            process.end()
        return _Process()

    def keep(self, process: _Process) -> bool:
        """Keep a process that serves, unless there are enough; return whether it is kept."""
        if len(self._all) >= self._most or not process.serves() or not process.has_unloaded():
            return False
        self._all.append(process)
        return True

    def end(self) -> None:
        """End all."""
        while self._all:
            self._all.pop().end()


_IDLE = _Idle(2)


def _world() -> tuple[int, tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Return the id of this process, and environment and module path of the processes that it starts."""
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | {"OPENBLAS_NUM_THREADS": "1"}
    return os.getpid(), tuple(environment.items()), tuple(path or str(Path.cwd()) for path in sys.path)


def _answers_of(process: Any, span: Span, market: _Market) -> _Answer:
    """Request the rows of a span one after another; return the answers, and the error raised at the next row."""
    _send(process, BEGINS)
    answers: list[tuple[float, ...]] = []
    error, later = "", span.later(market)
    while True:
        kind, value = _receive(process)
        if kind == "ended":
            return answers, error or value
        if kind == "raised":
            error = value
        elif kind == "begun":
            _send(process, span.begun(market))
        else:
            answers.extend(value)
            _send(process, next(later))


def _send(process: Any, message: Any) -> None:
    pickle.dump(message, process.stdin)
    process.stdin.flush()


def _receive(process: Any) -> tuple[str, Any]:
    kind, value = pickle.load(process.stdout)  # noqa: S301 - from the process that was started here
    return kind, value

"""An isolated process that computes a strategy's newest signals as a runner would, from the bars it is sent and nothing else.

It is started anew and serves strategies one after another, each in a fork that has seen no other: it takes the strategy's class
from its source and its parameters as plain values, and gets the bars of its slots in blocks. Each block is computed in a fork of
its own, oldest bar first. A bar is sent only after the answer to the one before: later bars are in no memory, pipe or frame of this
process. Only libraries may read the clock, and it shows the close of the newest bar. So a strategy can know nothing that comes
later, and remember nothing from before the block or from another slot.

`walls` blocks other sources, and `limits` ends what computes or waits for ever. Not blocked: `numpy.datetime64("now")`, which asks
the system itself (`atb.validation.clocks` finds it in the source); numbers written into the strategy's own code or a library's
files; names, sizes and times of files, which can be read without opening them; and code that takes these walls down on purpose,
which runs with the rights of the user it would deceive.

It exchanges pickles over its standard streams with the process that started it (`atb.validation.processes`).
"""

import datetime as dt
import gc
import importlib
import importlib.util
import linecache
import os
import pickle
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

from atb.validation import walls
from atb.validation.clocks import MONOTONIC
from atb.validation.limits import ENDED, FAILED, RAISED, Limits, how_it_ended

if TYPE_CHECKING:
    from collections.abc import Callable

    from atb.domain import Bars
    from atb.domain.input_series import InputSeries
    from atb.engine.columns import SignalColumns
    from atb.engine.slot import Slot

NAMES = ("side", "confidence", "atr", "volatility", "stop", "price", "prediction")
_TIME = dt.datetime
# These count from no known moment, or wait: libraries call them as they are, a strategy is refused.
_GUARDED = (
    "sleep",
    "clock_gettime",
    "clock_gettime_ns",
    *(f"{name}{unit}" for name in MONOTONIC for unit in ("", "_ns")),
)
SLOT, BEGINS, ENDS = "a slot follows", "a block begins", "another strategy follows"
_REGISTER = "atb.strategies"
_OWN = "atb.strategies.own"


@dataclass(frozen=True)
class Source:
    """A class by the place of its source or by its text, and the plain values to make an instance from."""

    module: str
    file: str | None
    name: str
    values: dict[str, Any]
    text: str = ""

    def make(self) -> Any:
        """Return a new instance; the source is loaded from its file where the module is not found by its name."""
        found: Any = self._module()
        for part in self.name.split("."):
            found = getattr(found, part)
        return found(**self.values)

    def _module(self) -> ModuleType:
        if self.text:
            return _run_text(self.module, self.text)
        if self.module.startswith(f"{_OWN}."):
            importlib.import_module(_OWN).open_folder(str(Path(str(self.file)).parent))
        with suppress(ImportError):
            found = importlib.import_module(self.module)
            if self.file is None or getattr(found, "__file__", self.file) == self.file:
                return found
        assert self.file is not None  # a class without a file is not sent as a source
        spec = importlib.util.spec_from_file_location(self.module, self.file)
        if spec is None or spec.loader is None:
            raise ImportError(f"{self.file} is no Python source")
        loaded = importlib.util.module_from_spec(spec)
        sys.modules[self.module] = loaded
        spec.loader.exec_module(loaded)
        return loaded


def _run_text(name: str, text: str) -> ModuleType:
    """Return a module made from its text, which tracebacks show."""
    file = f"<{name}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    module = sys.modules[name] = ModuleType(name)
    exec(compile(text, file, "exec"), module.__dict__)  # noqa: S102 # nosec B102 - the strategy's own text, as its file would be
    return module


@dataclass(frozen=True)
class Block:
    """The bars that a fork begins with.

    Parameters
    ----------
    bars
        Bars up to the first requested row.
    window
        Number of bars before a row that are known at it; None: all.
    rows
        Rows that one call over all bars answers for.
    inputs
        By name, the rows of each input that are known at the last of these bars, with its warm-up before the first.
    """

    bars: "Bars"
    window: int | None
    rows: tuple[int, ...] = ()
    inputs: dict[str, "InputSeries"] = field(default_factory=dict)


class BarClock:
    """The clock that libraries see: the close of the newest known bar; code outside them may not read it."""

    now_s: ClassVar[float] = 0.0

    @classmethod
    def install(cls) -> None:
        """Replace Python's and pandas' clocks for everything imported from now on."""
        import pandas as pd

        replace_in: Callable[[Any, str, Any], None] = setattr
        for name in ("now", "today", "utcnow"):
            replace_in(
                pd.Timestamp, name, staticmethod(lambda tz=None: pd.Timestamp(_TIME.fromtimestamp(cls.read(), tz)))
            )
        replace_in(time, "time", cls.read)
        replace_in(time, "time_ns", lambda: int(cls.read() * 1e9))
        for name in _GUARDED:
            if hasattr(time, name):
                replace_in(time, name, partial(cls.admit, getattr(time, name)))
        for name in ("localtime", "gmtime"):
            usual = getattr(time, name)
            replace_in(time, name, lambda secs=None, usual=usual: usual(cls.read() if secs is None else secs))
        replace_in(dt, "datetime", _Time)
        replace_in(dt, "date", _Day)

    @staticmethod
    def admit(function: "Callable[..., Any]", *arguments: Any) -> Any:
        """Call a function that counts time or waits, if a library asks.

        Raises
        ------
        PermissionError
            If other code asks, such as a strategy's.
        """
        walls.refuse_outside_libraries("the clock", around=__file__)
        return function(*arguments)

    @classmethod
    def read(cls) -> float:
        """Return the time, in seconds of the epoch, if a library asks.

        Raises
        ------
        PermissionError
            If other code asks, such as a strategy's.
        """
        walls.refuse_outside_libraries("the clock", around=__file__)
        return cls.now_s


class _Time(dt.datetime):
    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return _TIME.fromtimestamp(BarClock.read(), tz)

    @classmethod
    def utcnow(cls) -> Any:
        return _TIME.fromtimestamp(BarClock.read(), dt.UTC).replace(tzinfo=None)

    @classmethod
    def today(cls) -> Any:
        return _TIME.fromtimestamp(BarClock.read())


class _Day(dt.date):
    @classmethod
    def today(cls) -> Any:
        return _TIME.fromtimestamp(BarClock.read()).date()


def main() -> None:
    """Answer slots until the requests end; exit code 1 once a strategy cannot be loaded."""
    answers, requests = os.fdopen(os.dup(1), "wb"), os.fdopen(os.dup(0), "rb")
    quiet = os.open(os.devnull, os.O_RDWR)
    os.dup2(quiet, 0)
    os.dup2(quiet, 1)
    sys.path[:] = pickle.load(requests)  # noqa: S301 - from the process that started this one
    walls.prepare()
    for name in ("pandas", "talib", "atb.engine.prepare"):  # once, for all forks
        importlib.import_module(name)
    BarClock.install()
    _use_libraries()
    gc.freeze()  # or each fork's first collection would copy the memory that it shares with this process
    with suppress(EOFError):
        while pickle.load(requests) == SLOT:  # noqa: S301 - from the process that started this one
            if status := _in_fork(partial(_answer_slot, requests, answers)):
                sys.exit(1 if status == RAISED else status)  # an error is printed already
            _write(answers, "ended", "")


def _use_libraries() -> None:
    """Join and read a table: what pandas loads only then would be loaded again in each fork."""
    import pandas as pd

    frame = pd.DataFrame({"close": [1.0, 2.0]}, index=pd.date_range("2020-01-01", periods=2, tz="UTC"))
    table = pd.concat([frame, frame], axis=1, ignore_index=True)
    table.columns = pd.Index(["close", "other"])
    table["other"].to_numpy()


def _in_fork(answer: "Callable[[], None]") -> str:
    """Run a function in a fork, which then ends; return how it ended, in words, where that was before its end."""
    with walls.Files.own():
        child = os.fork()
    if child:
        status = os.waitpid(child, 0)[1]
        return "" if os.WIFEXITED(status) and os.WEXITSTATUS(status) == ENDED else how_it_ended(status)
    code = FAILED
    try:
        answer()
        code = ENDED
    except BaseException:  # noqa: BLE001 - as a process of its own would print it
        traceback.print_exc()
    finally:
        os._exit(code)


def _answer_slot(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer the blocks of slots with one strategy, each block in a fork of its own, until another strategy follows."""
    _write(answers, "slot")
    parts = pickle.load(requests)  # noqa: S301 - from the process that started this one
    with Limits().piece():
        slot = _slot(parts)
    gc.freeze()
    while (word := pickle.load(requests)) != ENDS:  # noqa: S301 - from the process that started this one
        if word == BEGINS:  # only its fork reads a block's content
            _write(answers, "ended", _in_fork(partial(_answer, requests, slot, answers)))
        elif isinstance(word, dict):  # else a fork that ended has left it unread
            slot = _with(slot, word)


def _with(slot: "Slot | PermissionError", parts: dict[str, bytes]) -> "Slot | PermissionError":
    """Return the slot with other parts than its strategy and predictor."""
    if isinstance(slot, PermissionError):
        return slot
    others: dict[str, Any] = {name: _load(part) for name, part in parts.items()}
    return replace(slot, **others)


def _slot(parts: dict[str, Any]) -> "Slot | PermissionError":
    """Return the slot, or the refusal if its strategy opens something while it is loaded or made."""
    from atb.engine.slot import Slot

    others = {name: _load(part) for name, part in parts.items() if name != "strategy"}
    part = parts["strategy"]
    _unload_strategies(part.module if isinstance(part, Source) else _REGISTER)
    walls.build()
    try:
        return Slot(**others, strategy=_load_alone(part))
    except OSError as error:
        if (refused := walls.refusal(error)) is None:
            raise
        return refused


def _load_alone(part: Source | bytes) -> Any:
    """Return a strategy; made without the register of strategies if loading that is refused, since other files are not its own."""
    try:
        return _load(part)
    except OSError as error:
        if not walls.is_refused(error):
            raise
    _unload_strategies()
    import atb

    register = ModuleType(_REGISTER)
    register.__path__ = [str(Path(atb.__file__).parent / "strategies")]
    sys.modules[_REGISTER] = register
    return _load(part)


def _unload_strategies(own: str = _REGISTER) -> None:
    """Unload all strategies, so that each is loaded anew."""
    for name in list(sys.modules):
        if name in {own, _REGISTER} or name.startswith(f"{_REGISTER}."):
            del sys.modules[name]


def _load(part: Source | bytes) -> Any:
    return part.make() if isinstance(part, Source) else pickle.loads(part)  # noqa: S301 - from the process that started this one


def _answer(requests: BinaryIO, slot: "Slot | PermissionError", answers: BinaryIO) -> None:
    """Answer a block, and send the error that was raised."""
    _write(answers, "begun")
    _write(answers, "raised", _answer_block(requests, slot, answers))


def _write(answers: BinaryIO, kind: str, value: Any = None) -> None:
    pickle.dump((kind, value), answers)
    answers.flush()


def _answer_block(requests: BinaryIO, slot: "Slot | PermissionError", answers: BinaryIO) -> str:
    """Send the signals at each row of a block as floats in the order of `NAMES`; return the error that was raised, as text.

    The bars of the next row arrive after the answer to the one before.
    """
    block = pickle.load(requests)  # noqa: S301 - from the process that started this one
    if isinstance(slot, PermissionError):
        return f"PermissionError: {slot}"
    known, limits = KnownMarket(block), Limits()
    while True:
        try:
            with limits.piece():
                rows = known.signals_of(slot)
        except Exception as error:  # noqa: BLE001 - any error here did not occur in the backtest
            return f"PermissionError: {walls.NO_FILES}" if walls.is_file(error) else f"{type(error).__name__}: {error}"
        _write(answers, "rows", rows)
        more = pickle.load(requests)  # noqa: S301 - from the process that started this one
        if more is None:
            return ""
        known.add(*more)


class KnownMarket:
    """The bars known at the newest row, within its window, and the rows of inputs known then."""

    def __init__(self, block: Block) -> None:
        frame = block.bars.frame
        self._block, self._index = block, frame.index
        self._opened, self._values = frame.index.asi8, frame.to_numpy().T  # type: ignore[attr-defined] # an index of times
        self._inputs = dict(block.inputs)

    def add(self, opened: bytes, values: bytes, inputs: "dict[str, InputSeries]") -> None:
        """Add bars that closed since, the bytes of K opens in the index's unit and of (K, 5) columns; and rows of inputs."""
        import numpy as np

        times, rows = np.frombuffer(opened, np.int64), np.frombuffer(values).reshape(-1, len(self._values))
        window = self._block.window
        first = 0 if window is None else max(0, len(self._opened) + len(times) - window - 1)
        self._opened = np.concatenate([self._opened, times])[first:]
        self._values = np.concatenate([self._values, rows.T], axis=1)[:, first:]
        for name, series in inputs.items():
            self._inputs[name] = self._inputs[name].appended(series)

    def bars(self) -> "Bars":
        """Return a copy of the bars in the window, each column in one piece as in a catalogue's."""
        import numpy as np
        import pandas as pd

        index: Any = self._index
        times = pd.DatetimeIndex(self._opened.view(f"M8[{index.unit}]"), name=index.name).tz_localize("UTC")
        columns = np.array(self._values, order="C")
        frame = pd.DataFrame(columns.T, times, self._block.bars.frame.columns, copy=False)
        return replace(self._block.bars, frame=frame, gaps=())

    def signals_of(self, slot: "Slot") -> list[tuple[float, ...]]:
        """Return the signals at the newest bar, or at all of the block's rows where one call answers for all."""
        from atb.engine.prepare import signals_of

        bars = self.bars()
        BarClock.now_s = bars.timeframe.next_ms(int(bars.opened_ms[-1])) / 1_000
        self._inputs = {name: series.cut(bars.closed_ms) for name, series in self._inputs.items()}
        signals, prediction = signals_of(replace(slot, bars=bars, inputs=self._inputs))
        return [_row(signals, prediction, at) for at in self._block.rows or (-1,)]


def _row(signals: "SignalColumns", prediction: Any, at: int) -> tuple[float, ...]:
    """Return one row of signals in the order of `NAMES`."""
    record = signals.fields[at if len(signals.fields) > 1 else 0]
    others = tuple(float(record[name]) for name in NAMES[1:-1])
    return float(signals.side[at]), *others, float("nan") if prediction is None else float(prediction[at])

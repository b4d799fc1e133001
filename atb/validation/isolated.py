"""A process that knows nothing but what it is told: it computes a strategy's newest opinions as a runner would at those bars.

It is started anew, takes a strategy's class from its source and its parameters as plain values, and gets bars in blocks. Each block
is computed in a fork of its own that has seen none before, oldest bar first. A bar is told only when the answer to the one before
was given: what comes later is in no memory, pipe or frame of this process that could be searched. The clock says the close of
the newest bar. So nothing can be known that comes later, and nothing remembered from further back than the block.

What is not told is kept out by `walls`. Not kept out: numbers written into the strategy's own code, or into a library's files;
names, sizes and times of files, which can be asked for without opening them; and code that takes these walls down on purpose,
which runs as the user whom it would deceive.

It speaks pickle over its standard streams with the process that started it (`atb.validation.windows`), and with nobody else.
"""

import datetime as dt
import importlib
import importlib.util
import os
import pickle
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

from atb.validation import walls

if TYPE_CHECKING:
    from collections.abc import Callable

    from atb.domain import Bars
    from atb.engine.columns import SignalColumns
    from atb.engine.slot import Slot

NAMES = ("side", "confidence", "atr", "volatility", "stop", "price", "prediction")
_TIME = dt.datetime
BEGINS = "a block begins"
_REGISTER = "atb.strategies"


@dataclass(frozen=True)
class Source:
    """A class by where its source is, and the plain values to make an instance of."""

    module: str
    file: str | None
    name: str
    values: dict[str, Any]

    def make(self) -> Any:
        """Return a new instance; the source is loaded from its file where the module is not found by its name."""
        found: Any = self._module()
        for part in self.name.split("."):
            found = getattr(found, part)
        return found(**self.values)

    def _module(self) -> ModuleType:
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


@dataclass(frozen=True)
class Block:
    """Bars with which a fork begins.

    Parameters
    ----------
    bars
        No more than are known at the first row that is asked for, the newest of them.
    window
        Bars before a row that are known at it; None: all.
    rows
        Where one call over all bars answers for several rows: these.
    """

    bars: "Bars"
    window: int | None
    rows: tuple[int, ...] = ()


class Clock:
    """The close of the newest bar that is known: what a strategy is told where it asks for the time."""

    now_s: ClassVar[float] = 0.0

    @classmethod
    def install(cls) -> None:
        """Take the place of Python's and pandas' clocks, for what is imported from now on."""
        import pandas as pd

        replace_in: Callable[[Any, str, Any], None] = setattr
        for name in ("now", "today", "utcnow"):
            replace_in(
                pd.Timestamp, name, staticmethod(lambda tz=None: pd.Timestamp(_TIME.fromtimestamp(cls.now_s, tz)))
            )
        replace_in(time, "time", lambda: cls.now_s)
        replace_in(time, "time_ns", lambda: int(cls.now_s * 1e9))
        replace_in(dt, "datetime", _Time)
        replace_in(dt, "date", _Day)


class _Time(dt.datetime):
    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return _TIME.fromtimestamp(Clock.now_s, tz)

    @classmethod
    def utcnow(cls) -> Any:
        return _TIME.fromtimestamp(Clock.now_s, dt.UTC).replace(tzinfo=None)

    @classmethod
    def today(cls) -> Any:
        return _TIME.fromtimestamp(Clock.now_s)


class _Day(dt.date):
    @classmethod
    def today(cls) -> Any:
        return _TIME.fromtimestamp(Clock.now_s).date()


def main() -> None:
    """Answer blocks until there are no more."""
    answers, told = os.fdopen(os.dup(1), "wb"), os.fdopen(os.dup(0), "rb")
    quiet = os.open(os.devnull, os.O_RDWR)
    os.dup2(quiet, 0)
    os.dup2(quiet, 1)
    sys.path[:] = pickle.load(told)  # noqa: S301 - from the process that started this one
    walls.prepare()
    for name in ("pandas", "talib", "atb.engine.prepare"):  # once, for all forks
        importlib.import_module(name)
    Clock.install()
    with suppress(EOFError):
        slot = _slot(pickle.load(told))  # noqa: S301
        while True:
            while pickle.load(told) != BEGINS:  # noqa: S301 - what is in a block only its fork is told
                pass  # what a fork that ended did not read
            _answer(told, slot, answers)


def _slot(parts: dict[str, Any]) -> "Slot | PermissionError":
    """Return the slot, or what its strategy was refused: what it reads while it is loaded or made, it knows like its bars."""
    from atb.engine.slot import Slot

    others = {name: _made(part) for name, part in parts.items() if name != "strategy"}
    part = parts["strategy"]
    _forget(part.module if isinstance(part, Source) else _REGISTER)
    walls.build()
    try:
        return Slot(**others, strategy=_made_alone(part))
    except OSError as error:
        if (refused := walls.refusal(error)) is None:
            raise
        return refused


def _made_alone(part: Source | bytes) -> Any:
    """Return a strategy; where the register of strategies meets a refusal, it is made without: another's file is not its own."""
    try:
        return _made(part)
    except OSError as error:
        if not walls.is_refused(error):
            raise
    _forget()
    import atb

    register = ModuleType(_REGISTER)
    register.__path__ = [str(Path(atb.__file__).parent / "strategies")]
    sys.modules[_REGISTER] = register
    return _made(part)


def _forget(own: str = _REGISTER) -> None:
    """Let no strategy be loaded but by what is loaded from now on."""
    for name in list(sys.modules):
        if name in {own, _REGISTER} or name.startswith(f"{_REGISTER}."):
            del sys.modules[name]


def _made(part: Source | bytes) -> Any:
    return part.make() if isinstance(part, Source) else pickle.loads(part)  # noqa: S301


def _answer(told: BinaryIO, slot: "Slot | PermissionError", answers: BinaryIO) -> None:
    """Let a fork answer a block, and say how it ended."""
    with walls.Files.own():
        child = os.fork()
    if child == 0:
        code = 1
        try:
            _say(answers, "begun")
            _say(answers, "raised", _converse(told, slot, answers))
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    _say(answers, "ended", status)


def _say(answers: BinaryIO, kind: str, value: Any = None) -> None:
    pickle.dump((kind, value), answers)
    answers.flush()


def _converse(told: BinaryIO, slot: "Slot | PermissionError", answers: BinaryIO) -> str:
    """Say the opinions at each row of a block as floats in the order of `NAMES`, and return what was raised, in words.

    The bars of the next row are told when the one before is answered.
    """
    block = pickle.load(told)  # noqa: S301 - from the process that started this one
    if isinstance(slot, PermissionError):
        return f"PermissionError: {slot}"
    known = Known(block)
    while True:
        try:
            said = known.signals_of(slot)
        except Exception as error:  # noqa: BLE001 - whatever a strategy raises here, it did not raise in the backtest
            return f"PermissionError: {walls.NO_FILES}" if walls.is_file(error) else f"{type(error).__name__}: {error}"
        _say(answers, "opinions", said)
        more = pickle.load(told)  # noqa: S301
        if more is None:
            return ""
        known.add(*more)


class Known:
    """The bars that are known at the newest row, and those before it that its window has room for."""

    def __init__(self, block: Block) -> None:
        frame = block.bars.frame
        self._block, self._index = block, frame.index
        self._opened, self._values = frame.index.asi8, frame.to_numpy().T  # type: ignore[attr-defined] # an index of times

    def add(self, opened: Any, values: Any) -> None:
        """Take in the bars that closed since: opens (K,) as the index has them, and (K, 5) columns."""
        import numpy as np

        window = self._block.window
        first = 0 if window is None else max(0, len(self._opened) + len(opened) - window - 1)
        self._opened = np.concatenate([self._opened, opened])[first:]
        self._values = np.concatenate([self._values, values.T], axis=1)[:, first:]

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
        """Return the opinion at the newest bar, or at all of the block's rows where one call answers for all."""
        from atb.engine.prepare import signals_of

        bars = self.bars()
        Clock.now_s = bars.timeframe.next_ms(int(bars.opened_ms[-1])) / 1_000
        signals, prediction = signals_of(replace(slot, bars=bars))
        return [_row(signals, prediction, at) for at in self._block.rows or (-1,)]


def _row(signals: "SignalColumns", prediction: Any, at: int) -> tuple[float, ...]:
    """Return one row of signals in the order of `NAMES`."""
    record = signals.fields[at if len(signals.fields) > 1 else 0]
    others = tuple(float(record[name]) for name in NAMES[1:-1])
    return float(signals.side[at]), *others, float("nan") if prediction is None else float(prediction[at])

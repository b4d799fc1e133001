"""A process that knows nothing but what it is told: it computes a strategy's newest opinions as a runner would at those bars.

It is started anew, takes a strategy's class from its source and its parameters as plain values, and gets bars in blocks. Each block
is computed in a fork of its own that has seen none before, oldest bar first, each bar from a copy of its window; the clock says
the close of the newest bar, and files, sockets and other programs are refused. So nothing can be known that comes later, and
nothing remembered from further back than the block.

It speaks pickle over its standard streams with the process that started it (`atb.validation.windows`), and with nobody else.
"""

import datetime as dt
import errno
import importlib
import importlib.util
import os
import pickle
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.machinery import ExtensionFileLoader, FileFinder
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

if TYPE_CHECKING:
    import pandas as pd

    from atb.domain import Bars
    from atb.engine.prepare import Slot

NAMES = ("side", "confidence", "atr", "volatility", "stop", "price", "prediction")
_TIME = dt.datetime
_CODE = (".py", ".pyc", ".so", ".pyd", ".dylib")
_COMPILED = "/__pycache__/"  # Python's and numba's
_SYSTEM = ("/usr/", "/etc/", "/lib", "/proc/", "/sys/", "/dev/")
_REFUSED = ("socket.connect", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn")
_NO_FILES = "a strategy has no business with files"


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
    """Bars, and the rows of them at which the newest opinion is wanted.

    Parameters
    ----------
    number
        Which answer belongs to it.
    bars
        No more than are known at the last of `rows`.
    rows
        Rows of `bars`, in order.
    window
        Bars before a row that are known at it; None: all. With -1, one call over all bars answers for every row.
    """

    number: int
    bars: "Bars"
    rows: tuple[int, ...]
    window: int | None


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
    for name in ("pandas", "talib", "atb.engine.prepare"):  # once, for all forks
        importlib.import_module(name)
    Clock.install()
    with suppress(EOFError):
        slot = _slot(pickle.load(told))  # noqa: S301
        while True:
            _answer(pickle.load(told), slot, answers)  # noqa: S301


def _slot(parts: dict[str, Any]) -> "Slot | PermissionError":
    """Return the slot, or what its strategy was refused: what it reads while it is loaded or made, it knows like its bars."""
    from atb.engine.prepare import Slot

    others = {name: _made(part) for name, part in parts.items() if name != "strategy"}
    Files.serve(ExtensionFileLoader, "create_module")
    Files.serve(FileFinder, "_fill_cache")
    sys.addaudithook(_refuse)
    Files.shut()
    try:
        return Slot(**others, strategy=_made(parts["strategy"]))
    except OSError as refused:
        if isinstance(refused, PermissionError) or _is_file(refused):
            return PermissionError(f"{_NO_FILES if _is_file(refused) else refused}{_place(refused)}")
        raise


def _made(part: Source | bytes) -> Any:
    return part.make() if isinstance(part, Source) else pickle.loads(part)  # noqa: S301


class Files:
    """Whether a file can be opened at all: libraries that are no Python, such as Parquet's, ask no hook of Python's."""

    _shut: ClassVar[bool] = False
    _serving: ClassVar[int] = 0

    @classmethod
    def shut(cls) -> None:
        """Leave no free number for another file."""
        if not (cls._shut or cls._serving):
            free = os.dup(0)
            os.close(free)
            cls._limit(free)
            cls._shut = True

    @classmethod
    def open(cls) -> None:
        """Let files be opened until something else happens."""
        if cls._shut:
            cls._shut = False
            cls._limit(cls._most())

    @classmethod
    def serve(cls, loader: type, name: str) -> None:
        """Let a loader's method open files while it runs."""
        load = getattr(loader, name)

        def served(*arguments: Any) -> Any:
            cls.open()
            cls._serving += 1
            try:
                return load(*arguments)
            finally:
                cls._serving -= 1
                cls.shut()

        setattr(loader, name, served)

    @staticmethod
    def _most() -> int:
        return resource.getrlimit(resource.RLIMIT_NOFILE)[1]

    @classmethod
    def _limit(cls, soft: int) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, cls._most()))


def _place(error: BaseException) -> str:
    """Return in which line of no library something was raised."""
    frames = ((one.tb_frame.f_code.co_filename, one.tb_lineno) for one in _lines(error.__traceback__))
    libraries = (sys.prefix, sys.base_prefix, __file__)
    own = [f"{name}:{line}" for name, line in frames if os.path.isabs(name) and not name.startswith(libraries)]  # noqa: PTH117
    return f" ({own[-1]})" if own else ""


def _lines(one: TracebackType | None) -> Iterator[TracebackType]:
    while one is not None:
        yield one
        one = one.tb_next


def _is_file(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno == errno.EMFILE


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse what could tell more than the bars do; the code of what is imported late is no such thing."""
    if event == "resource.setrlimit":
        return
    Files.shut()
    if event in _REFUSED:
        raise PermissionError(f"a strategy has no business with {event}")
    if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
        path = os.path.abspath(os.fsdecode(arguments[0]))  # noqa: PTH100 - of a hook that must import nothing
        code = path.endswith(_CODE) or _COMPILED in f"{path}/"
        if not code and not path.startswith((sys.prefix, sys.base_prefix, *_SYSTEM)):
            raise PermissionError(f"a strategy has no business with the file {path}")
        Files.open()
    if event == "ctypes.dlopen":
        Files.open()


def _answer(block: Block, slot: "Slot | PermissionError", answers: BinaryIO) -> None:
    """Let a fork answer a block; one that died is answered for."""
    child = os.fork()
    if child == 0:
        try:
            told = pickle.dumps((block.number, _computed(block, slot)))
            answers.write(told)
            answers.flush()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        pickle.dump((block.number, ([], f"the process died with status {status}")), answers)
        answers.flush()


def _computed(block: Block, slot: "Slot | PermissionError") -> tuple[list[tuple[float, ...]], str]:
    """Return the opinions at each row as floats in the order of `NAMES`, up to where something was raised, and that in words."""
    told: list[tuple[float, ...]] = []
    if isinstance(slot, PermissionError):
        return told, f"PermissionError: {slot}"
    try:
        told.extend(_rows(block, slot))
    except Exception as error:  # noqa: BLE001 - whatever a strategy raises here, it did not raise in the backtest
        return told, f"PermissionError: {_NO_FILES}" if _is_file(error) else f"{type(error).__name__}: {error}"
    return told, ""


def _rows(block: Block, slot: "Slot") -> Iterator[tuple[float, ...]]:
    from dataclasses import replace

    from atb.engine.prepare import opinions

    bars, whole = block.bars, None
    for row in block.rows:
        Files.shut()
        Clock.now_s = bars.timeframe.next_ms(int(bars.opened_ms[row])) / 1_000
        if whole is None or block.window != -1:
            whole = opinions(replace(slot, bars=replace(bars, frame=_known(block, row), gaps=())))
        wanted, prediction = whole
        at = row if block.window == -1 else -1
        rest = wanted.rest[at if len(wanted.rest) > 1 else 0]
        others = tuple(float(rest[name]) for name in NAMES[1:-1])
        yield float(wanted.side[at]), *others, float("nan") if prediction is None else float(prediction[at])


def _known(block: Block, row: int) -> "pd.DataFrame":
    """Return a copy of the bars that are known at a row: a view would lead to those that come after it."""
    if block.window == -1:
        return block.bars.frame
    first = 0 if block.window is None else max(0, row - block.window)
    return block.bars.frame.iloc[first : row + 1].copy()

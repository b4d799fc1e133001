"""What a process that computes a strategy's columns is kept from: files, sockets, programs, databases and foreign functions.

Two walls stand one behind the other. Python tells each thing that it is about to do (`sys.addaudithook`), whatever it is called by:
what could tell more than the bars do is refused there. Libraries that are no Python, such as Parquet's, tell nothing: the system
itself gives this process no further file, socket or pipe (`RLIMIT_NOFILE` is 0), but while Python opens one that it may.

It may open what belongs to the interpreter, its libraries and the system, and code that the import machinery or numba's cache asks
for. Outside the libraries, what is read through a link is judged by where the link leads.
"""

import builtins
import ctypes
import errno
import importlib.machinery
import io
import os
import re
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, ClassVar

NO_FILES = "a strategy has no business with files"
_CODE = (".py", ".pyc", ".so", ".pyd", ".dylib")
_PREFIXES = (sys.prefix, sys.base_prefix)
_OWN = tuple({f"{path}{os.sep}" for one in _PREFIXES for path in (one, os.path.realpath(one))})
_SYSTEM = ("/usr/", "/etc/", "/lib", "/System/", "/Library/")
_DEVICES = re.compile(r"/dev/(null|u?random)|/proc/(\d+/)?(cpuinfo|meminfo|stat|status|maps|cgroup|mountinfo|version)")
_PARTS = ("socket", "subprocess", "sqlite3", "shutil", "pty", "urllib", "http", "ftplib", "webbrowser")
_EVENTS = {
    *(f"os.{name}" for name in ("system", "exec", "posix_spawn", "spawn", "fork", "forkpty", "startfile")),
    *(f"os.{name}" for name in ("remove", "rename", "mkdir", "rmdir", "link", "symlink", "truncate")),
    *(f"resource.{name}" for name in ("setrlimit", "prlimit")),
    *(f"ctypes.{name}" for name in ("dlopen", "dlsym", "dlsym/handle", "call_function", "string_at", "wstring_at")),
}
_HARMLESS = {"socket.gethostname"}
_CACHE = os.path.join("numba", "core", "caching.py")  # noqa: PTH118 - a hook imports nothing
_DEEP = 12  # frames that are looked through for who asked


class Files:
    """Whether a file can be opened at all."""

    _serving: ClassVar[int] = 0
    _own: ClassVar[int] = 0
    _stands: ClassVar[bool] = False

    @classmethod
    def stand(cls) -> None:
        """Give out no further descriptor from now on."""
        cls._stands = True
        cls.limit(0)

    @classmethod
    @contextmanager
    def own(cls) -> Iterator[None]:
        """Let this process itself do for a moment what it refuses a strategy."""
        cls._own += 1
        try:
            yield
        finally:
            cls._own -= 1

    @classmethod
    def is_own(cls) -> bool:
        """Return whether it is this process that asks."""
        return cls._own > 0

    @classmethod
    def limit(cls, most: int) -> None:
        """Let no descriptor of this number or above be given out."""
        with cls.own():
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

    @classmethod
    def serve(cls, owner: Any, name: str) -> None:
        """Let a function open files while it runs: what it may open is then judged by its event."""
        opens: Callable[..., Any] = getattr(owner, name)

        def served(*arguments: Any, **options: Any) -> Any:
            if not cls._stands:
                return opens(*arguments, **options)
            if not cls._serving:
                cls.limit(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
            cls._serving += 1
            try:
                return opens(*arguments, **options)
            finally:
                cls._serving -= 1
                if not cls._serving:
                    cls.limit(0)

        setattr(owner, name, served)


def prepare() -> None:
    """Mind the functions that open files, before any library takes them for its own."""
    machinery = importlib.machinery
    for owner, name in (
        (machinery.ExtensionFileLoader, "create_module"), (machinery.FileFinder, "_fill_cache"),
        (machinery.SourceFileLoader, "get_data"), (machinery.SourcelessFileLoader, "get_data"),
        (builtins, "open"), (io, "open"), (io, "open_code"), (os, "open"), (ctypes, "_dlopen"),
    ):  # fmt: skip
        Files.serve(owner, name)


def build() -> None:
    """Put up both walls; they stand until the process ends."""
    sys.dont_write_bytecode = True
    sys.addaudithook(_hear)
    Files.stand()


def refusal(error: BaseException) -> PermissionError | None:
    """Return what was refused and where, None where it was something else."""
    if not is_refused(error):
        return None
    return PermissionError(f"{NO_FILES if is_file(error) else error}{_place(error)}")


def is_refused(error: BaseException) -> bool:
    """Return whether it is a wall that stood in the way."""
    return isinstance(error, PermissionError) or is_file(error)


def is_file(error: BaseException) -> bool:
    """Return whether the system would give no descriptor."""
    return isinstance(error, OSError) and error.errno == errno.EMFILE


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse what could tell more than the bars do; the code of what is imported late is no such thing."""
    if event == "open":
        if isinstance(arguments[0], str | bytes | os.PathLike):
            _hear_file(os.path.abspath(os.fsdecode(arguments[0])))  # noqa: PTH100
        return
    if event not in _EVENTS and (event.partition(".")[0] not in _PARTS or event in _HARMLESS):
        return
    if not (Files.is_own() or _is_library(event)):
        raise PermissionError(f"a strategy has no business with {event}")


def _hear_file(path: str) -> None:
    there = os.path.realpath(path)
    if path.startswith(_OWN) or there.startswith((*_OWN, *_SYSTEM)) or _DEVICES.fullmatch(there):
        return
    asked = _asking()
    loads = path.endswith(_CODE) and any(name.startswith("<frozen importlib") for name in asked)
    if not (loads or any(name.endswith(_CACHE) for name in asked)):
        raise PermissionError(f"a strategy has no business with the file {path}")


def _is_library(event: str) -> bool:
    """Return whether a library asks for what only libraries have: compiled code, and numba's cache of it."""
    asked = _asking()
    if event.startswith("ctypes."):
        around = f"{os.sep}ctypes{os.sep}"
        first = next((name for name in asked if around not in name), "")
        return first.startswith((*_OWN, "<frozen importlib"))
    return event.startswith("os.") and any(name.endswith(_CACHE) for name in asked)


def _asking() -> list[str]:
    """Return in which files the newest frames are, the newest first, without this one's."""
    names: list[str] = []
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - its public name is `inspect.currentframe`, which imports much
    while frame is not None and len(names) < _DEEP:
        if frame.f_code.co_filename != __file__:
            names.append(frame.f_code.co_filename)
        frame = frame.f_back
    return names


def _place(error: BaseException) -> str:
    """Return in which line of no library something was raised."""
    frames = ((one.tb_frame.f_code.co_filename, one.tb_lineno) for one in _lines(error.__traceback__))
    around = (*_OWN, os.path.dirname(__file__))  # noqa: PTH120
    own = [f"{name}:{line}" for name, line in frames if os.path.isabs(name) and not name.startswith(around)]  # noqa: PTH117
    return f" ({own[-1]})" if own else ""


def _lines(one: TracebackType | None) -> Iterator[TracebackType]:
    while one is not None:
        yield one
        one = one.tb_next

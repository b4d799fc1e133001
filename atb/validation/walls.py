"""Blocks files, sockets, programs, databases and foreign functions in the process that computes a strategy's columns.

There are two walls. Python reports each action before it happens (`sys.addaudithook`), and actions that could reveal more than the
bars are refused there. Compiled libraries, such as Parquet's, report nothing: for them the system gives this process no further
file, socket or pipe (`RLIMIT_NOFILE` is 0), except while Python opens one that is allowed.

Allowed are files of the interpreter, its libraries and the system, and code read by the import machinery or numba's cache. Outside
the libraries, a link is judged by its target.
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
_OWN = tuple({f"{path}{os.sep}" for prefix in _PREFIXES for path in (prefix, os.path.realpath(prefix))})
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
_DEEP = 12  # frames searched for the caller


class Files:
    """Controls whether this process can open any file."""

    _serving: ClassVar[int] = 0
    _own: ClassVar[int] = 0
    _sealed: ClassVar[bool] = False

    @classmethod
    def seal(cls) -> None:
        """Allow no further descriptor from now on."""
        cls._sealed = True
        cls.limit(0)

    @classmethod
    @contextmanager
    def own(cls) -> Iterator[None]:
        """Exempt this process's own code for the duration of the block."""
        cls._own += 1
        try:
            yield
        finally:
            cls._own -= 1

    @classmethod
    def is_own(cls) -> bool:
        """Return True while this process's own code acts."""
        return cls._own > 0

    @classmethod
    def limit(cls, most: int) -> None:
        """Set the limit on descriptor numbers."""
        with cls.own():
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

    @classmethod
    def admit(cls, owner: Any, name: str) -> None:
        """Let a function open files while it runs; the audit hook judges each of them."""
        opens: Callable[..., Any] = getattr(owner, name)

        def admitted(*arguments: Any, **options: Any) -> Any:
            if not cls._sealed:
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

        setattr(owner, name, admitted)


def prepare() -> None:
    """Wrap the functions that open files, before any library keeps a reference to them."""
    machinery = importlib.machinery
    for owner, name in (
        (machinery.ExtensionFileLoader, "create_module"), (machinery.FileFinder, "_fill_cache"),
        (machinery.SourceFileLoader, "get_data"), (machinery.SourcelessFileLoader, "get_data"),
        (builtins, "open"), (io, "open"), (io, "open_code"), (os, "open"), (ctypes, "_dlopen"),
    ):  # fmt: skip
        Files.admit(owner, name)


def build() -> None:
    """Put up both walls until the process ends."""
    sys.dont_write_bytecode = True
    sys.addaudithook(_audit)
    Files.seal()


def refusal(error: BaseException) -> PermissionError | None:
    """Return the refusal with its place in the strategy's code, or None if the error is another."""
    if not is_refused(error):
        return None
    return PermissionError(f"{NO_FILES if is_file(error) else error}{_place(error)}")


def is_refused(error: BaseException) -> bool:
    """Return True if a wall caused the error."""
    return isinstance(error, PermissionError) or is_file(error)


def is_file(error: BaseException) -> bool:
    """Return True if the system had no descriptor left."""
    return isinstance(error, OSError) and error.errno == errno.EMFILE


def refuse_outside_libraries(what: str, *, around: str) -> None:
    """Refuse something to code that is no library's; frames of the file `around` are passed over.

    Raises
    ------
    PermissionError
        If the newest frame of another file is the strategy's, or any other that is no library's.
    """
    caller = next((name for name in _calling_files() if name != around), "")
    if not caller.startswith((*_OWN, *_SYSTEM, "<frozen ")):
        raise PermissionError(f"a strategy has no business with {what}")


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse actions that could reveal more than the bars; reading code for a late import is allowed."""
    if event == "open":
        if isinstance(arguments[0], str | bytes | os.PathLike):
            _audit_open(os.path.abspath(os.fsdecode(arguments[0])))  # noqa: PTH100 - runs at every file that is opened
        return
    if event not in _EVENTS and (event.partition(".")[0] not in _PARTS or event in _HARMLESS):
        return
    if not (Files.is_own() or _is_library(event)):
        raise PermissionError(f"a strategy has no business with {event}")


def _audit_open(path: str) -> None:
    target = os.path.realpath(path)
    if path.startswith(_OWN) or target.startswith((*_OWN, *_SYSTEM)) or _DEVICES.fullmatch(target):
        return
    callers = _calling_files()
    loads = path.endswith(_CODE) and any(name.startswith("<frozen importlib") for name in callers)
    if not (loads or any(name.endswith(_CACHE) for name in callers)):
        raise PermissionError(f"a strategy has no business with the file {path}")


def _is_library(event: str) -> bool:
    """Return True if a library loads compiled code or numba's cache of it."""
    callers = _calling_files()
    if event.startswith("ctypes."):
        around = f"{os.sep}ctypes{os.sep}"
        first = next((name for name in callers if around not in name), "")
        return first.startswith((*_OWN, "<frozen importlib"))
    return event.startswith("os.") and any(name.endswith(_CACHE) for name in callers)


def _calling_files() -> list[str]:
    """Return the files of the newest frames, newest first, without this one."""
    names: list[str] = []
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - its public name is `inspect.currentframe`, which imports much
    while frame is not None and len(names) < _DEEP:
        if frame.f_code.co_filename != __file__:
            names.append(frame.f_code.co_filename)
        frame = frame.f_back
    return names


def _place(error: BaseException) -> str:
    """Return the line outside all libraries where the error was raised."""
    frames = ((entry.tb_frame.f_code.co_filename, entry.tb_lineno) for entry in _lines(error.__traceback__))
    around = (*_OWN, os.path.dirname(__file__))  # noqa: PTH120 - pathlib opens files
    own = [f"{name}:{line}" for name, line in frames if os.path.isabs(name) and not name.startswith(around)]  # noqa: PTH117 - as above
    return f" ({own[-1]})" if own else ""


def _lines(entry: TracebackType | None) -> Iterator[TracebackType]:
    while entry is not None:
        yield entry
        entry = entry.tb_next

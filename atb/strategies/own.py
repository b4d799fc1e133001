"""Your own strategies: files of a folder outside this package, imported as `atb.strategies.own.NAME`.

A file is one strategy: `rsi.py` defines one frozen dataclass whose `name` is `rsi`. So a strategy is found by its name without
loading any other, and a broken file breaks only itself. Files whose names begin with `_` are shared code
(`from atb.strategies.own._shared import ...`), those that begin with `test_` are tests. Names of built-in strategies are taken.

The folder is the setting `strategies.folder`. Its modules are compiled from their sources, hashed, pinned and sealed like those of
the package (`atb.sources`, `atb.promotion.closure`). A file that changes is loaded again at the next look-up, so a notebook never
trades an older text than the one on disk.
"""

import importlib
import sys
from types import ModuleType, TracebackType

from atb.domain.declaration import declared_strategy
from atb.domain.ports import Strategy
from atb.errors import InputError
from atb.strategy_folder import mounted

__path__: list[str] = []  # makes this module a package whose modules are the folder's files


def own_names() -> list[str]:
    """Return the names of the folder's strategies, loaded or not, broken ones included."""
    folder = mounted()
    return [] if folder is None else list(folder.names())


def load_own(name: str) -> type[Strategy]:
    """Return the class that a file of the folder defines.

    Raises
    ------
    InputError
        If the file cannot be loaded (with its line), or defines no valid strategy of its name.
    """
    folder = mounted()
    assert folder is not None  # a name of its own was found in it
    if folder.is_stale():
        forget()
    open_folder(folder.path)
    return declared_strategy(_module(name, f"{folder.path}/{name}.py"), name)


def open_folder(path: str) -> None:
    """Import modules of `atb.strategies.own` from this folder."""
    __path__[:] = [path]


def forget() -> None:
    """Unload all modules of the folder, so that each is loaded anew."""
    for name in [name for name in sys.modules if name.startswith(f"{__name__}.")]:
        del sys.modules[name]


def _module(name: str, file: str) -> ModuleType:
    try:
        return importlib.import_module(f"{__name__}.{name}")
    except SyntaxError as error:
        where = f"{error.filename or file}, line {error.lineno}"
        raise InputError(
            f"The file of {name} is not Python: {error.msg}", found=where, todo="Correct the line"
        ) from None
    except (Exception, SystemExit) as error:
        found = f"{type(error).__name__}: {error} ({_place(error.__traceback__, file)})"
        todo = "Correct it; code outside functions runs whenever the file is loaded"
        raise InputError(f"The file of {name} cannot be loaded", found=found, todo=todo) from error


def _place(trace: TracebackType | None, file: str) -> str:
    """Return the file and the line of it at which loading failed."""
    line = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    return file if line is None else f"{file}, line {line}"

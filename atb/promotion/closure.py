"""The closure of the runner: every module of this package that its imports reach, imports inside functions included.

Nothing is listed by name: a new module, sub-folder or import is pinned as soon as it exists, and research code, which a runner
never loads, can be edited without ending a promotion. Imports for annotations only (`if TYPE_CHECKING`) are never executed.
Alembic loads files by path, so all migrations are added. Modules that no import statement names cannot be loaded: a runner is
sealed, see `atb.sources`.

A manifest of any strategy pins all built-in ones: the runner loads the register, which imports them, and what is loaded is pinned.
A strategy of your own lies outside the package, in the folder of `atb.strategy_folder`. Its files are named `own/FILE` wherever
that folder is, so that a manifest can be traded on another machine.
"""

import ast
import functools
import gc
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from atb.errors import PromotionError
from atb.reading import MIB, read_file
from atb.strategy_folder import mounted

RUNNER = "runners/live.py"
OWN = "own/"  # before the names of files in the folder of own strategies
_OWN_PACKAGE = "atb.strategies.own"
PINNED_LIBRARIES = (
    "atb",
    "numpy",
    "pandas",
    "talib",
    "numba",
)  # for own strategies: their versions are in each manifest
_BY_PATH = ("db/migrations",)  # folders whose files are loaded by their path, not imported
_SUFFIXES = {".py", ".mako"}
_LARGEST = MIB  # bytes of a source; the largest has about 30 KiB
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


def runner_files(package: Path, module: str) -> dict[str, bytes]:
    """Return the content of every file used when a strategy trades, by its path from the package's parent.

    Parameters
    ----------
    package
        The folder of the package `atb`; the runner lies beside it, in `runners`.
    module
        The strategy's module, such as `atb.strategies.sma_cross`.

    Raises
    ------
    PromotionError
        If the runner or the strategy's file is not there, or a source cannot be read.
    """
    runner = package.parent / RUNNER
    if not runner.is_file():
        raise PromotionError(
            "The runner is not beside the package, so it is not known what it loads", found=str(runner),
            todo="Promote and trade from a checkout: git clone, then make setup",
        )  # fmt: skip
    module_name(package, module)
    by_path = [path for folder in _BY_PATH for path in (package / folder).rglob("*") if path.suffix in _SUFFIXES]
    found = {path.relative_to(package.parent).as_posix(): source_bytes(path) for path in [runner, *by_path]}
    scripts = [source for name, source in found.items() if name.endswith(".py")]
    found |= _reached(package, [module, *(name for source in scripts for name in imported_names(source, ""))])
    return dict(sorted(found.items()))


def source_bytes(path: Path) -> bytes:
    """Return the content of a source, which is a regular file: reading a pipe in its place could block forever.

    Raises
    ------
    PromotionError
        If it cannot be read, naming it.
    """
    try:
        return read_file(path, max_bytes=_LARGEST)
    except (OSError, ValueError) as odd:
        reason = odd.strerror if isinstance(odd, OSError) else odd
        raise PromotionError(f"A source of the package cannot be read: {reason}", found=str(path)) from None


def module_name(package: Path, module: str) -> str:
    """Return the name under which a module's file is pinned.

    Raises
    ------
    PromotionError
        If it has none.
    """
    path = _file_of(package, module)
    if path is None:
        raise PromotionError("The strategy's source cannot be found", found=module)
    return _pinned_name(package, module, path)


def _reached(package: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Return the content of all modules that importing these names loads, by path."""
    found: dict[str, bytes] = {}
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in seen or name.partition(".")[0] != package.name:
            continue
        seen.add(name)
        waiting.append(name.rpartition(".")[0])  # a package is loaded before its modules
        path = _file_of(package, name)
        if path is not None:  # otherwise it is a name inside a module
            source = found[pinned := _pinned_name(package, name, path)] = source_bytes(path)
            imported = imported_names(source, name if path.name == "__init__.py" else name.rpartition(".")[0])
            if pinned.startswith(OWN):
                _refuse_unpinned(imported, path)
            waiting += imported
    return found


def _refuse_unpinned(imported: Iterable[str], path: Path) -> None:
    """Refuse imports of an own strategy whose versions no manifest pins; those of the package's modules are in the lock files."""
    allowed = {*sys.stdlib_module_names, *PINNED_LIBRARIES}
    if others := sorted({top for name in imported if (top := name.partition(".")[0]) and top not in allowed}):
        raise PromotionError(
            f"A strategy imports what no promotion pins: {', '.join(others)}", found=str(path),
            todo=f"Use {', '.join(PINNED_LIBRARIES)} and the standard library; shared code of the folder is "
            f"`from {_OWN_PACKAGE}.FILE import ...`",
        )  # fmt: skip


def source_file(name: str, package: Path) -> Path:
    """Return the file of a pinned name: in the folder of own strategies, or below the package's parent."""
    if not name.startswith(OWN):
        return package.parent / name
    return _own_folder() / name.removeprefix(OWN)


def _own_folder() -> Path:
    folder = mounted()
    return Path("/nowhere" if folder is None else folder.path)


def _pinned_name(package: Path, module: str, path: Path) -> str:
    if module.startswith(f"{_OWN_PACKAGE}."):
        return OWN + path.relative_to(_own_folder()).as_posix()
    return path.relative_to(package.parent).as_posix()


def _file_of(package: Path, name: str) -> Path | None:
    """Return the source file of a module; as in Python, a package takes precedence."""
    own = name.startswith(f"{_OWN_PACKAGE}.")
    top, parts = (_own_folder(), name.split(".")[3:]) if own else (package.parent, name.split("."))
    place = top.joinpath(*parts)
    return next((path for path in (place / "__init__.py", place.with_suffix(".py")) if path.is_file()), None)


@functools.lru_cache(maxsize=1_024)
def imported_names(source: bytes, package: str) -> frozenset[str]:
    """Return every name that a module's import statements could load.

    Parameters
    ----------
    source
        The module's text.
    package
        The name of its package, to which relative imports refer.

    Raises
    ------
    PromotionError
        If the text is not Python.
    """
    collecting = gc.isenabled()
    gc.disable()  # a syntax tree has many objects and no cycles; searching for cycles takes two thirds of the time
    try:
        return frozenset(_imports(ast.parse(source).body, package))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise PromotionError(f"A source of the package is not Python: {error}") from None
    finally:
        if collecting:
            gc.enable()


def _imports(statements: Sequence[ast.AST], package: str) -> Iterator[str]:
    for node in statements:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        blocks = ("orelse",) if _is_for_annotations(node) else _BLOCKS
        for block in blocks:
            yield from _imports(getattr(node, block, ()), package)


def _is_for_annotations(node: ast.AST) -> bool:
    """True for `if TYPE_CHECKING:`, whose block never runs."""
    return isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}

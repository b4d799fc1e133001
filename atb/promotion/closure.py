"""The closure of the runner: every module of this package that its imports reach, imports inside functions included.

Nothing is listed by name: a new module, sub-folder or import is pinned as soon as it exists, and research code, which a runner
never loads, can be edited without ending a promotion. Imports for annotations only (`if TYPE_CHECKING`) are never executed.
Alembic loads files by path, so all migrations are added. Modules that no import statement names cannot be loaded: a runner is
sealed, see `atb.sources`.
"""

import ast
import functools
import gc
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from atb.errors import PromotionError
from atb.reading import MIB, read_file

RUNNER = "runners/live.py"
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
    if _file_of(package, module) is None:
        raise PromotionError("The strategy's source cannot be found", found=module)
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
            source = found[path.relative_to(package.parent).as_posix()] = source_bytes(path)
            waiting += imported_names(source, name if path.name == "__init__.py" else name.rpartition(".")[0])
    return found


def _file_of(package: Path, name: str) -> Path | None:
    """Return the source file of a module; as in Python, a package takes precedence."""
    place = package.parent.joinpath(*name.split("."))
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

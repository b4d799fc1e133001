"""Whether what a notebook shows is what Run All would show: cells run in their order, each once, and no name from elsewhere.

A kernel remembers everything that ever ran in it. So a notebook can show a result that cannot be repeated: cells were run out of
order, a cell was edited and not run again, or a name comes from a cell that was deleted. Such a notebook may not publish.

What is checked are the executions since the first cell was last run. They must be the notebook's code cells in their order, each
once, down to the running cell; only this one may have run several times. A name that a cell reads must come from that cell or one
above it, unless no execution ever stored it (a built-in). Cells stand in the order of the saved file, so a new cell must be saved;
an edited one need not be.

JupyterLab sends the kernel, with each execution, the cell's id and which cells were deleted. What ran before `watch` was called is
taken for the cells above, in their order, if there are as many; otherwise a cell is found by its text. Without a notebook's file (a
console, a script) there is nothing to check, and `atb run` executes a notebook from its first cell in a kernel of its own anyway.
"""

import ast
import builtins
import os
import symtable
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atb.errors import InputError

SESSION = "JPY_SESSION_NAME"  # the notebook's path, as the Jupyter server tells its kernel
RUN_ALL = "Restart the kernel and run all cells, then this is what anyone gets"
_MOST = 6  # cells that a message names


@dataclass(frozen=True)
class Execution:
    """One execution of a cell: its number in the kernel, its text, and its id where that is known."""

    number: int
    source: str
    cell: str | None = None


@dataclass
class Watched:
    """The cells of the executions since a kernel is watched, in order, None where a cell has no id; and the deleted cells."""

    cells: list[str | None] = field(default_factory=list)
    deleted: set[str] = field(default_factory=set)


_WATCHED = "atb_watched"


def watch(shell: Any) -> None:
    """Remember from now on which cell each execution belongs to; to watch again changes nothing."""
    if hasattr(shell, _WATCHED) or not hasattr(shell, "kernel"):
        return
    seen = Watched()
    setattr(shell, _WATCHED, seen)

    def note(info: Any = None) -> None:
        metadata = shell.kernel.get_parent("shell").get("metadata", {})
        seen.deleted.update(map(str, metadata.get("deletedCells") or ()))
        if info is None or info.store_history:
            cell = metadata.get("cellId")
            seen.cells.append(None if cell is None else str(cell))

    note()  # the cell that asks to be watched is running
    shell.events.register("pre_run_cell", note)


def check_run_all() -> None:
    """Refuse to go on in a notebook that does not show what Run All would show.

    Raises
    ------
    InputError
        If it does not; the message names the cells and the names.
    """
    if "IPython" not in sys.modules:
        return
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()  # type: ignore[no-untyped-call,unused-ignore] # typed in newer IPython
    path = None if shell is None else _notebook_of(shell)
    if path is None:
        return
    if wrong := differences(
        _cells_of(path), _executions_of(shell), deleted=getattr(shell, _WATCHED, Watched()).deleted
    ):
        listed = "".join(f"\n  {text}" for text in wrong[:_MOST])
        raise InputError(f"The notebook does not show what Run All would show:{listed}\n{RUN_ALL}")


def _notebook_of(shell: Any) -> Path | None:
    """Return the file of the running notebook; None if there is none, as in a console."""
    named = shell.user_ns.get("__vsc_ipynb_file__") or os.environ.get(SESSION, "")
    path = Path(named)
    return path if path.suffix == ".ipynb" and path.is_file() else None


def _cells_of(path: Path) -> list[tuple[str, str]]:
    """Return id and text of the code cells of a notebook's file that are not empty."""
    from atb.experiments.parameters import read_notebook

    cells = read_notebook(path).cells
    return [(cell.id, cell.source) for cell in cells if cell.cell_type == "code" and cell.source.strip()]


def _executions_of(shell: Any) -> list[Execution]:
    """Return the executions of a kernel so far, the cell that is running last."""
    texts = list(enumerate(shell.history_manager.input_hist_raw))[1:]  # there is no number 0
    seen: Watched = getattr(shell, _WATCHED, Watched())
    cells = [*[None] * (len(texts) - len(seen.cells)), *seen.cells][-len(texts) :]
    return [Execution(number, text, cell) for (number, text), cell in zip(texts, cells, strict=True) if text.strip()]


# --- pure -----------------------------------------------------------------------------------------------------------------


def differences(cells: Sequence[tuple[str, str]], ran: Sequence[Execution], *, deleted: set[str]) -> list[str]:
    """Return how executions differ from running the cells in their order, a sentence each; empty if they do not.

    Parameters
    ----------
    cells
        Id and text of the notebook's code cells, in order.
    ran
        Every execution of the kernel, in order; the last is the running cell.
    deleted
        Ids of cells that were deleted.
    """
    left = [(cell, source) for cell, source in cells if cell not in deleted]
    placed = _placed(left, ran)
    if placed[-1] is None:
        return ["the running cell is not in the saved notebook: save it first"]
    start = max((k for k, place in enumerate(placed) if place == 0), default=None)
    if start is None:
        return [f"{_name(0, left)} was never run"]
    last = [(place, execution) for place, execution in zip(placed[start:], ran[start:], strict=True)]
    while len(last) > 1 and last[-2][0] == last[-1][0]:  # the running cell, run again
        last.pop(-2)
    return [*_order(last, left), *_foreign_names([one for _, one in last], ran)]


def _placed(cells: Sequence[tuple[str, str]], ran: Sequence[Execution]) -> list[int | None]:
    """Return for each execution the place of its cell in the notebook; None where it is not there (any more)."""
    places = {cell: place for place, (cell, _) in enumerate(cells)}
    unnamed = [execution for execution in ran if execution.cell is None]
    first_named = next((places.get(one.cell) for one in ran if one.cell is not None), len(cells))
    by_number: dict[int, int] = {}
    if first_named is not None and len(unnamed) == first_named:  # the cells above, whatever was edited in them
        by_number = {execution.number: place for place, execution in enumerate(unnamed)}
    texts: dict[str, int] = {}
    for place, (_, source) in enumerate(cells):
        texts.setdefault(source.strip(), place)
    return [
        places.get(one.cell) if one.cell is not None else by_number.get(one.number, texts.get(one.source.strip()))
        for one in ran
    ]


def _order(last: Sequence[tuple[int | None, Execution]], cells: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Yield what was run twice, out of order, not at all, or is no cell of the notebook."""
    done: list[int] = []
    for place, execution in last:
        if place is None:
            yield f"[{execution.number}] {_line(execution.source)}: it is not in the saved notebook (deleted, or not saved yet)"
        elif place in done:
            yield f"{_name(place, cells)} was run twice"
        elif done and place < max(done):
            yield f"{_name(place, cells)} was run after {_name(max(done), cells)}, which stands below it"
        if place is not None:
            done.append(place)
    asks = last[-1][0] or 0
    yield from (f"{_name(place, cells)} was not run" for place in range(asks) if place not in done)


def _foreign_names(last: Sequence[Execution], ran: Sequence[Execution]) -> Iterator[str]:
    """Yield the names that the last pass reads and does not store where they are read, though another execution stored them."""
    before = {name: one for one in ran if one not in last for name in _names(one.source)[0]}
    every, known = {name for one in last for name in _names(one.source)[0]}, set[str]()
    reported: set[str] = set()
    for one in last:
        stored, at_once, later = _names(one.source)
        missing = (at_once - known) | (later - every)
        for name in sorted(missing - reported):
            if name in before:
                origin = before[name]
                found = f"[{origin.number}] `{_line(origin.source)}`"
                yield f"{name} in `{_line(one.source)}` comes from {found}, not from a cell above"
            elif name in every:
                yield f"{name} in `{_line(one.source)}` is stored by a cell below it"
        reported |= missing
        known |= stored


def _names(source: str) -> tuple[set[str], set[str], set[str]]:
    """Return the global names that a cell stores, that it needs from before, and that its functions read later."""
    from IPython.core.inputtransformer2 import TransformerManager

    code = TransformerManager().transform_cell(source)  # type: ignore[no-untyped-call,unused-ignore] # typed in newer IPython
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return set(), set(), set()
    stored, needed, later = set[str](), set[str](), set[str]()
    for statement in tree.body:
        stores, reads, lazily = _names_of(statement)
        at_once = isinstance(statement, _SIMPLE)  # its reads come before its stores
        needed |= reads - stored if at_once else reads - stored - stores
        stored |= stores
        later |= lazily
    own = {*dir(builtins), "get_ipython", "display", "In", "Out", "exit", "quit", "open"}
    return stored, needed - own, later - own


_SIMPLE = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Delete, ast.Expr)
_RUNS_CODE = ("time", "timeit", "prun", "capture", "memit")  # magics whose text is Python


def _names_of(statement: ast.stmt) -> tuple[set[str], set[str], set[str]]:
    """Return the global names that a statement at the top stores, reads, and reads in functions."""
    top = symtable.symtable(ast.unparse(statement), "cell", "exec")
    stored = {one.get_name() for one in top.get_symbols() if one.is_assigned() or one.is_imported()}
    reads = {one.get_name() for one in top.get_symbols() if one.is_referenced()} | _in_comprehensions(top)
    if isinstance(statement, ast.AugAssign | ast.Delete):
        reads |= stored
    for text in _run_by_magics(statement):
        stores, needs, _ = _names(text)
        stored, reads = stored | stores, reads | needs
    return stored | set(_starred(statement)), reads, set(_of_functions(top))


def _run_by_magics(statement: ast.stmt) -> Iterator[str]:
    """Yield the Python text that magics such as `%time` run."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr.endswith("_magic"):
            texts = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            if texts and texts[0] in _RUNS_CODE:
                yield texts[-1]


def _starred(tree: ast.stmt) -> Iterator[str]:
    """Yield the names that `from ... import *` stores, where the module is loaded."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            module = sys.modules.get(node.module or "")
            yield from getattr(module, "__all__", None) or dir(module)


_INLINE = ("listcomp", "setcomp", "dictcomp", "genexpr")


def _in_comprehensions(table: symtable.SymbolTable) -> set[str]:
    """Return the global names that comprehensions and class bodies at the top read, which they do at once."""
    found: set[str] = set()
    for child in table.get_children():
        if child.get_name() in _INLINE or child.get_type() == "class":
            found |= {one.get_name() for one in child.get_symbols() if one.is_global() and one.is_referenced()}
            found |= _in_comprehensions(child)
    return found


def _of_functions(table: symtable.SymbolTable, inside: bool = False) -> Iterator[str]:
    for child in table.get_children():
        function = inside or (child.get_type() == "function" and child.get_name() not in _INLINE)
        if function:
            yield from (one.get_name() for one in child.get_symbols() if one.is_global() and one.is_referenced())
        yield from _of_functions(child, function)


def _name(place: int, cells: Sequence[tuple[str, str]]) -> str:
    """Return a cell as a person finds it: its number among the code cells, and its first line."""
    return f"code cell {place + 1} `{_line(cells[place][1])}`"


def _line(source: str) -> str:
    line = source.strip().splitlines()[0]
    return line if len(line) <= 60 else f"{line[:57]}..."

"""Writes a strategy of your own to its folder: its file, a test and a notebook, from a starting point or a notebook's cell.

Nothing is written that cannot be loaded, and nothing that a person wrote is overwritten unasked: a file that a cell wrote ends
with a line that holds its hash, so a cell that is run again replaces its own text and no other.
"""

import ast
import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from atb.errors import InputError
from atb.reading import MIB, read_file

if TYPE_CHECKING:
    from atb.config import Settings

_SIGN = "# Written by %%strategy from a notebook's cell; once it is edited here, the cell no longer replaces it: "
_START = '''"""{title}: long while the close is above its average, flat below."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from atb.domain.signals import Signals
from atb.features.indicators import sma

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class {title}:
    """Long while the close is more than `margin` (a fraction) above its average of `window` bars."""

    name: ClassVar[str] = "{name}"
    predicts: ClassVar[bool] = False  # it follows no model
    window: int = 50
    margin: float = 0.0

    def __post_init__(self) -> None:
        """Refuse parameters that mean nothing."""
        if self.window < 1:
            raise ValueError(f"need window above 0, was {{self.window}}")

    @property
    def warmup(self) -> int:
        """Bars that must come before the first decision."""
        return self.window - 1

    def features(self, bars: "pd.DataFrame") -> "pd.DataFrame":
        """Return columns that use each bar and those before it, never one after."""
        import pandas as pd

        return pd.DataFrame({{"average": sma(bars["close"].to_numpy(), self.window)}}, index=bars.index)

    def signals(self, frame: "pd.DataFrame") -> Signals:
        """Return at each close 1 (long) or 0 (flat); NaN where nothing can be said yet."""
        close, average = frame["close"].to_numpy(), frame["average"].to_numpy()
        return Signals(np.where(np.isnan(average), np.nan, close > average * (1 + self.margin)))
'''
_RULES = '''"""{title}: rules as text, whose words the docstring of `atb.strategies.rules` explains."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from atb.strategies.rules.strategy import Rule


@dataclass(frozen=True, slots=True)
class {title}(Rule):
    """Enter and leave where these conditions hold."""

    name: ClassVar[str] = "{name}"
    example: ClassVar[Mapping[str, object]] = {{}}  # it is checked with the rules below
{rules}
'''
_ONE_SIDE = "    memory: ClassVar[int] = 500  # rules for both sides alone read it"
_TEST = '''"""{name}: the contract of every strategy; add what this one must do, on bars made by hand."""

import atb.workbench  # noqa: F401 - it knows the folder of your own strategies
from atb.validation.contract import check_strategy


def test_it_keeps_the_contract_of_every_strategy():
    assert [check for check in check_strategy("{name}") if check.failed] == []
'''
_QUESTION = "# {name}\n\n**Question:** does it beat holding, after costs? **Verdict:** write it last."
_PARAMETERS = """strategy: str = "{name}"
params: dict = {{}}  # its own parameters; the rest keep their defaults
symbol: str = "BTC/USDT"
timeframe: str = "1h"
days: int = 365  # days to trade, back from the last stored bar
fraction: float = 0.95  # value of a new position as a fraction of equity
stop_loss: float | None = 0.05  # stop below the entry price, as a fraction of it; None: no stop"""
_RUN = """from atb.workbench import Period, RiskPolicy, ensure_sample, make_strategy, prepare_slot, run

ensure_sample()
policy = RiskPolicy(fraction=fraction, stop_loss=stop_loss)
chosen = make_strategy(strategy, **params)
slot, first = prepare_slot(chosen, symbol, timeframe, period=Period(days=days), policy=policy)
result = run(slot, start=first)
result"""
_FIGURE = """from atb.reports import equity_figure

equity_figure(result)"""
_PROOFS = """from atb.workbench import evidence, findings, proofs, publish

proven = evidence(result)
found = findings(result, proven)
publish(metrics=result.stats, data=[slot.bars], result=result, evidence=proven, findings=found)
print(*proofs(proven), *found, sep="\\n")"""
_CELLS = (("markdown", _QUESTION), ("parameters", _PARAMETERS), ("code", _RUN), ("code", _FIGURE), ("code", _PROOFS))


@dataclass(frozen=True)
class Written:
    """The files of a strategy: its source, its test and its notebook, and the class."""

    name: str
    source: Path
    test: Path
    notebook: Path
    kind: type

    def to_json(self) -> dict[str, str]:
        """Return the paths as text."""
        return {"name": self.name, "source": str(self.source), "test": str(self.test), "notebook": str(self.notebook)}


def new_strategy(name: str, settings: "Settings", *, rules: Mapping[str, str] | None = None) -> Written:
    """Write a small strategy that works, to be changed.

    Parameters
    ----------
    rules
        Texts by `entry`, `exit`, `short_entry` and `short_exit`: then the strategy is these rules.

    Raises
    ------
    InputError
        If the name is none or taken, the file exists, or a text is no rule.
    """
    path = _path(name, settings)
    if path.exists():
        raise InputError(f"There is a strategy {name} already", found=str(path), todo="Edit it, or choose another name")
    title = "".join(part.capitalize() for part in name.split("_"))
    if f"import {title}\n" in (_RULES if rules else _START):  # the class would hide what its file imports
        title += "Strategy"
    if rules:
        lines = [f"    {rule}: str = {json.dumps(text)}" for rule, text in rules.items()]
        lines += [] if {"entry", "short_entry"} <= rules.keys() else [_ONE_SIDE]
        return _written(name, _RULES.format(name=name, title=title, rules="\n".join(lines)), settings)
    return _written(name, _START.format(name=name, title=title), settings)


def write_cell(
    name: str, cell: str, settings: "Settings", *, known: Mapping[str, Any], replace: bool = False
) -> Written:
    """Write a notebook's cell to the file of a strategy; what it takes from other cells comes along.

    Parameters
    ----------
    known
        The notebook's variables.
    replace
        Whether a file that was edited since, or that no cell wrote, is replaced.

    Raises
    ------
    InputError
        If the name is none or taken, the cell is no strategy or reads data of the notebook, or the file is another's.
    """
    from atb.validation.cells import imports_for

    path = _path(name, settings)
    tree = _parsed(cell, name)
    text = _joined(cell, tree, imports_for(cell, known))
    if path.exists() and not replace and not _is_untouched(read_file(path, max_bytes=MIB)):
        raise InputError(
            f"The file of {name} was not written by a cell, or was edited since", found=str(path),
            todo=f"Go on in the file, choose another name, or replace it: %%strategy {name} --replace",
        )  # fmt: skip
    return _written(name, f"{text}\n\n{_SIGN}{_hash(text)}\n", settings)


def _path(name: str, settings: "Settings") -> Path:
    """Return the place of a strategy's file."""
    from atb.config.own import is_strategy_name
    from atb.strategies import STRATEGIES

    if not is_strategy_name(name):
        todo = "Small letters, digits and _, a letter first, 64 at most; not test_ nor a word of Python"
        raise InputError("A strategy's name is the name of its file", found=name, todo=todo)
    if name in STRATEGIES:
        raise InputError("This is the name of a built-in strategy", found=name, todo="Choose another")
    return settings.strategies_root / f"{name}.py"


def _parsed(cell: str, name: str) -> ast.Module:
    try:
        return ast.parse(cell)
    except SyntaxError as error:
        where = f"line {error.lineno} of the cell"
        raise InputError(
            f"The cell of {name} is not Python: {error.msg}", found=where, todo="Correct the line"
        ) from None


def _joined(cell: str, tree: ast.Module, taken: list[str]) -> str:
    """Return the cell's text with the lines that it takes from other cells, below its docstring and its `__future__`."""
    lines, at = cell.strip("\n").splitlines(), 0
    shift = len(cell) - len(cell.lstrip("\n"))
    for node in tree.body:
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and not at
        if not docstring and not (isinstance(node, ast.ImportFrom) and node.module == "__future__"):
            break
        at = (node.end_lineno or 0) - shift
    head, body = lines[:at], lines[at:]
    return "\n".join([*head, *([""] if head and taken else []), *taken, *([""] if taken else []), *body]).rstrip()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _is_untouched(content: bytes) -> bool:
    """Return True if a cell wrote this file and no one has changed it since."""
    body, sign, rest = content.decode(errors="replace").rpartition(f"\n\n{_SIGN}")
    return bool(sign) and rest.strip() == _hash(body)


def _written(name: str, text: str, settings: "Settings") -> Written:
    """Write the files of a strategy that can be loaded; a test or notebook that exists stays."""
    from atb.config.own import mount_folder
    from atb.files import make_public_folder, write_public
    from atb.strategies import strategy_class

    path = _path(name, settings)
    _try(name, text, path)
    test, notebook = path.with_name(f"test_{name}.py"), path.with_suffix(".ipynb")
    try:
        make_public_folder(path.parent)
        write_public(path, text.encode())
        for other, content in ((test, _TEST.format(name=name)), (notebook, _notebook(name))):
            if not other.exists():
                write_public(other, content.encode(), new=True)
    except OSError as error:
        found = f"{error.filename or path}: {error.strerror}"
        todo = "Look at the setting strategies.folder (ATB__STRATEGIES__FOLDER) and at the rights there"
        raise InputError(f"{name} could not be written", found=found, todo=todo) from error
    mount_folder(settings)
    return Written(name, path, test, notebook, strategy_class(name))


def _try(name: str, text: str, path: Path) -> None:
    """Refuse a text that defines no strategy of this name, before it is written."""
    from atb.domain.declaration import declared_strategy

    module = ModuleType(f"atb.strategies.own._tried_{name}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # where `dataclass` looks for the module of a class
    try:
        exec(compile(text, str(path), "exec"), module.__dict__)  # noqa: S102 # nosec B102 - as its file will be
        declared_strategy(module, name)()
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        found = f"{type(error).__name__}: {error}"
        todo = "Correct it; it must run alone, with all that it imports"
        raise InputError(f"{name} cannot be loaded", found=found, todo=todo) from error
    finally:
        del sys.modules[module.__name__]


def _notebook(name: str) -> str:
    cells = [_cell(number, kind, text.format(name=name)) for number, (kind, text) in enumerate(_CELLS, 1)]
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    content = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(content, indent=1) + "\n"


def _cell(number: int, kind: str, text: str) -> dict[str, Any]:
    source = text.splitlines(keepends=True)
    cell: dict[str, Any] = {"cell_type": "markdown", "id": f"own-{number:02}", "metadata": {}, "source": source}
    if kind != "markdown":
        tags = {"tags": ["parameters"]} if kind == "parameters" else {}
        cell |= {"cell_type": "code", "metadata": tags, "execution_count": None, "outputs": []}
    return cell

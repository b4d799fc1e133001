"""A class of a notebook's cell: its text travels with all that it uses, and data of the notebook does not."""

import itertools
import linecache
import sys
from types import ModuleType

import pytest

from atb.engine.kernel_input import prepare
from atb.engine.policy import AccountPolicy
from atb.engine.slot import Slot
from atb.errors import InputError
from atb.validation.cells import imports_for, text_of
from atb.validation.isolated import Source
from atb.validation.sources import parts_of
from atb.validation.windows import check_windows
from tests.bars import bars_of, random_walk
from tests.strategies.own_files import FADE

BARS = bars_of(random_walk(120, 3))
CELL = FADE[FADE.index("@dataclass") :]
IMPORTS = FADE[: FADE.index("@dataclass")]
NUMBER = itertools.count()


class Notebook:
    """Runs cells as a kernel does: in one scope, each under a name by which Python finds its text."""

    def __init__(self, module):
        self.scope = module.__dict__

    def run(self, text):
        name = f"<cell {next(NUMBER)}>"
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        exec(compile(text, name, "exec"), self.scope)
        return self.scope


@pytest.fixture
def notebook(monkeypatch):
    module = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    made = Notebook(module)
    made.run(IMPORTS)
    return made


def checked(strategy):
    slot = Slot(strategy, BARS)
    (found,) = check_windows(prepare((slot,), AccountPolicy(), BARS.frame.index[slot.warmup]))
    return found.report


def test_the_text_has_what_other_cells_define_import_and_set(notebook):
    notebook.run(
        "import math\nfrom math import inf as endless\nLIMIT = 0.02\nLEVELS = {'a': [1, float('inf')], 'b': (True, None)}\n"
    )
    notebook.run("def fallen(close, highest):\n    return halved(1 - close / highest) * 2\n")
    notebook.run("def halved(value):\n    return value / 2 + 0 * math.sqrt(4) * LEVELS['a'][0]\n")
    body = 'fallen(frame["close"].to_numpy(), frame["highest"].to_numpy())'
    text = CELL.replace('1 - frame["close"].to_numpy() / frame["highest"].to_numpy()', body).replace("0.02", "LIMIT")
    kind = notebook.run(text)["Fade"]
    found = text_of(kind)
    scope = {"__name__": "elsewhere"}
    sys.modules["elsewhere"] = sys.modules[__name__]
    exec(found, scope)
    del sys.modules["elsewhere"]
    assert scope["Fade"]().depth == 0.02
    assert scope["LEVELS"] == notebook.scope["LEVELS"]
    assert "endless" not in found
    assert checked(kind(window=9)).everywhere


def test_it_is_sent_as_text_without_what_it_kept(notebook):
    kind = notebook.run(CELL)["Fade"]
    kind.kept = BARS.frame
    strategy = kind(window=9)
    part = parts_of(Slot(strategy, BARS))["strategy"]
    assert isinstance(part, Source)
    assert (part.module, part.name, part.values, part.file) == ("cell", "Fade", {"window": 9, "depth": 0.02}, None)
    assert "kept" not in part.text
    assert not hasattr(part.make(), "kept")


def test_a_memory_in_the_class_is_found_out(notebook):
    """It remembers all bars that it ever saw; the text that travels begins without them."""
    text = CELL.replace("    window: int = 20", "    seen: ClassVar[list] = []\n    window: int = 20").replace(
        "fall = 1 -", 'self.seen.append(float(frame["close"].max()))\n        fall = 1 - 0.5 * (len(self.seen) > 3) -'
    )
    strategy = notebook.run(text)["Fade"](window=9)
    assert checked(strategy).equal is False


def test_variables_of_the_notebook_that_are_data_are_refused_by_name(notebook):
    notebook.scope["bars"] = BARS.frame
    notebook.run("rises = (bars['close'].shift(-1) > bars['close']).to_numpy()\nmany = list(range(1_000))\n")
    for name in ("bars['close']", "rises", "many"):
        kind = notebook.run(CELL.replace("fall = 1 -", f"fall = len({name}) * 0 + 1 -"))["Fade"]
        with pytest.raises(
            InputError, match=rf"Fade reads the variable {name.partition('[')[0]}, .*make it a parameter"
        ):
            checked(kind(window=9))


def test_a_local_name_like_one_of_the_notebook_s_is_its_own(notebook):
    notebook.scope["fall"] = notebook.scope["frame"] = notebook.scope["close"] = BARS.frame
    assert checked(notebook.run(CELL)["Fade"](window=9)).everywhere


def test_a_class_without_a_text_goes_by_value_unless_it_holds_data():
    scope = {"__name__": "__main__", "bars": BARS.frame}
    exec(FADE, scope)
    assert text_of(scope["Fade"]) is None
    assert checked(scope["Fade"](window=9)).everywhere
    exec(FADE.replace("fall = 1 -", "fall = 0 * len(bars) + 1 -"), scope)
    with pytest.raises(InputError, match="Fade reads the variable bars"):
        checked(scope["Fade"](window=9))


def test_a_class_inside_a_function_goes_by_value_unless_it_holds_data(notebook):
    inner = CELL.replace("\n", "\n    ")
    made = notebook.run(f"def make(given):\n    {inner}\n    return Fade\n")["make"](1)
    assert text_of(made) is None
    assert checked(made(window=9)).everywhere
    closing = inner.replace("fall = 1 -", "fall = 0 * len(given) + 1 -")
    made = notebook.run(f"def make(given):\n    {closing}\n    return Fade\n")["make"](BARS.frame)
    with pytest.raises(InputError, match="Fade reads the variable given"):
        checked(made(window=9))


def test_compiled_functions_and_annotations_of_the_future_travel(notebook):
    notebook.run("from numba import njit\n\n@njit\ndef fallen(close, highest):\n    return 1 - close / highest\n")
    body = 'fallen(frame["close"].to_numpy().copy(), frame["highest"].to_numpy().copy())'
    text = CELL.replace('1 - frame["close"].to_numpy() / frame["highest"].to_numpy()', body).replace(
        '"pd.DataFrame"', "pd.DataFrame"
    )
    kind = notebook.run(f"from __future__ import annotations\n{text}")["Fade"]
    assert text_of(kind).startswith("from __future__ import annotations\n")
    assert "@njit" in text_of(kind)
    assert checked(kind(window=9)).everywhere


def test_the_imports_that_a_cell_takes_from_others(notebook):
    notebook.run("DEPTH = 0.02\n")
    lines = imports_for(CELL.replace("0.02", "DEPTH"), notebook.scope)
    assert sorted(lines) == sorted([
        "from dataclasses import dataclass", "from typing import ClassVar", "import numpy as np",
        "from atb.domain.signals import Signals", "DEPTH = 0.02",
    ])  # fmt: skip
    assert imports_for(FADE, notebook.scope) == []

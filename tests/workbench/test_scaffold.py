"""A strategy is written from a starting point or a cell: with test and notebook, never half, and never over a person's work."""

import json
import sys

import numpy as np
import pandas as pd
import pytest

from atb.config import load_settings
from atb.errors import InputError
from atb.experiments.parameters import read_parameters
from atb.strategies import make_strategy, strategy_names
from atb.validation.contract import check_strategy
from atb.workbench.own import check_own, own_strategies
from atb.workbench.scaffold import new_strategy, write_cell
from tests.strategies.own_files import FADE, write_strategy


def files():
    root = load_settings().strategies_root
    return sorted(path.name for path in root.iterdir()) if root.is_dir() else []


def cell(text=FADE, name="fade", **more):
    return write_cell(name, text, load_settings(), known=more.pop("known", {}), **more)


def test_a_new_strategy_works_and_keeps_the_contract():
    written = new_strategy("slow_turtle", load_settings())
    assert files() == ["slow_turtle.ipynb", "slow_turtle.py", "test_slow_turtle.py"]
    assert written.kind.__name__ == "SlowTurtle"
    assert make_strategy("slow_turtle").window == 50
    assert [check for check in check_strategy("slow_turtle", steps=False) if check.failed] == []


def test_its_notebook_takes_parameters_and_its_test_is_python():
    written = new_strategy("turtle", load_settings())
    assert {parameter.name for parameter in read_parameters(written.notebook)} >= {
        "strategy",
        "params",
        "symbol",
        "days",
    }
    code = [
        "".join(one["source"])
        for one in json.loads(written.notebook.read_text())["cells"]
        if one["cell_type"] == "code"
    ]
    for text in (*code, written.test.read_text()):
        compile(text, "x", "exec")
    assert 'strategy: str = "turtle"' in code[0]


@pytest.mark.parametrize("name", ["sma_cross", "Turtle", "a-b", "", "class", "test_it", "../x", "_x", "é"])
def test_a_name_that_is_none_or_taken_is_refused(name):
    message = "the name of a built-in strategy" if name == "sma_cross" else "is the name of its file"
    with pytest.raises(InputError, match=message):
        new_strategy(name, load_settings())
    with pytest.raises(InputError, match=message):
        cell(name=name)
    assert files() == []


def test_the_class_of_a_new_strategy_hides_nothing_that_its_file_imports():
    assert new_strategy("signals", load_settings()).kind.__name__ == "SignalsStrategy"
    frame = pd.DataFrame({"close": [1.0, 2.0, 3.0], "average": [np.nan, 3.0, 2.0]})
    np.testing.assert_array_equal(make_strategy("signals").signals(frame).side, [np.nan, 0.0, 1.0])


def test_a_new_strategy_never_overwrites_a_file():
    path = write_strategy("fade", FADE)
    with pytest.raises(InputError, match="There is a strategy fade already"):
        new_strategy("fade", load_settings())
    assert path.read_text() == FADE


def test_a_cell_is_written_as_it_stands_and_may_be_run_again():
    first = cell()
    assert first.source.read_text().startswith(FADE.rstrip())
    assert cell(FADE.replace("window: int = 20", "window: int = 30")).kind().window == 30
    assert make_strategy("fade").window == 30
    assert files() == ["fade.ipynb", "fade.py", "test_fade.py"]


@pytest.mark.parametrize(
    "edited",
    [
        lambda text: text.replace("int = 20", "int = 21"),
        lambda _: FADE,
        lambda text: text + "# x\n",
        lambda text: text + "# \udce9 in another encoding\n",
    ],
)
def test_a_file_that_a_person_edited_is_kept_until_it_is_said_otherwise(edited):
    path = cell().source
    path.write_bytes(edited(path.read_text()).encode(errors="surrogateescape"))
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"was edited since.*%%strategy fade --replace"):
        cell()
    assert path.read_bytes() == before
    assert cell(replace=True).kind().window == 20


def test_tests_and_notebooks_that_exist_stay():
    written = cell()
    written.test.write_text("# mine\n")
    cell(FADE.replace("window: int = 20", "window: int = 30"))
    assert written.test.read_text() == "# mine\n"


def test_what_a_cell_takes_from_others_comes_below_its_docstring():
    known = {"__name__": "__main__"}
    exec(FADE[: FADE.index("@dataclass")].replace("if TYPE_CHECKING", "if True"), known)
    body = FADE[FADE.index("@dataclass") :]
    text = cell(f'\n"""Fade."""\n\nfrom __future__ import annotations\n\n{body}', known=known).source.read_text()
    assert text.startswith('"""Fade."""\n\nfrom __future__ import annotations\n\n')
    assert "import numpy as np\n" in text
    assert "from dataclasses import dataclass\n" in text
    assert make_strategy("fade").window == 20


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = (\n", r"not Python.*line 1 of the cell"),
        (FADE.replace('= "fade"', '= "other"'), "'other' in a file of another name"),
        (FADE.replace("(frozen=True)", ""), "no frozen dataclass"),
        (FADE + "\n1 / 0\n", "fade cannot be loaded; found 'ZeroDivisionError"),
        ("x = 1\n", "defines no strategy"),
        (FADE.replace("fall = 1 -", "fall = len(bars_of_mine) * 0 + 1 -"), "reads the variable bars_of_mine"),
    ],
)
def test_a_cell_that_is_no_strategy_leaves_everything_as_it_was(text, message):
    before = cell().source.read_text()
    with pytest.raises(InputError, match=message):
        cell(text, known={"bars_of_mine": [[1.0]] * 1_000})
    assert make_strategy("fade").window == 20
    assert cell().source.read_text() == before
    assert [name for name in sys.modules if "_tried_" in name] == []


def test_the_list_names_every_file_with_its_fault_and_none_keeps_the_others_waiting():
    write_strategy("fade", FADE)
    write_strategy("broken", "x = (\n")
    write_strategy("sma_cross", FADE)
    write_strategy("my-idea", FADE)
    write_strategy("slow", "import time\ntime.sleep(30)\n")
    found = {one.name: one.fault for one in own_strategies(load_settings(), patience_s=0.5)}
    assert list(found) == ["broken", "fade", "my-idea.py", "slow", "sma_cross"]
    assert found["fade"] == ""
    assert "not Python" in found["broken"]
    assert "built-in" in found["sma_cross"]
    assert "named by a-z" in found["my-idea.py"]
    assert "did not load within 0.5 s" in found["slow"]
    assert "my-idea" not in strategy_names()
    with pytest.raises(InputError, match=r"broken cannot be used.*not Python"):
        check_own("broken", load_settings())


def test_rules_as_text_become_a_strategy_of_its_own_name():
    rules = {"entry": "rsi(7) < 30", "exit": "rsi(7) > 60"}
    written = new_strategy("dip", load_settings(), rules=rules)
    strategy = make_strategy("dip", exit="rsi(7) > 50")
    assert (strategy.entry, strategy.exit, strategy.short_entry) == ("rsi(7) < 30", "rsi(7) > 50", "")
    assert (type(strategy).__module__, written.kind.__name__) == ("atb.strategies.own.dip", "Dip")
    assert [check for check in check_strategy("dip", steps=False) if check.failed] == []
    both = {**rules, "short_entry": "rsi(7) > 70", "short_exit": "rsi(7) < 40"}
    assert "memory" not in new_strategy("swing", load_settings(), rules=both).source.read_text()
    assert make_strategy("swing", memory=9).memory == 9


def test_texts_that_are_no_rules_write_nothing():
    for rules, message in (({"entry": 'rsi(7) > "x"'}, "no place here"), ({"exit": "rsi(7) > 60"}, "none for entry")):
        with pytest.raises(InputError, match=message):
            new_strategy("dip", load_settings(), rules=rules)
    assert files() == []

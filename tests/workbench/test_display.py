"""The workbench: light to import, complete, and results show themselves in a notebook."""

import subprocess
import sys

import pytest

import atb.workbench
from tests.bars import bars_of, random_walk
from tests.scenarios import scripted_slot

SHELL = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
import atb.workbench
from atb.backtest import run
from tests.bars import bars_of, random_walk
from tests.scenarios import scripted_slot
for value in (run(scripted_slot(random_walk(50), (1.0,))), bars_of(random_walk(50), venue="synthetic")):
    print(shell.display_formatter.format(value)[0]["text/html"])
"""


def test_every_public_name_can_be_imported():
    assert [name for name in atb.workbench.__all__ if getattr(atb.workbench, name, None) is None] == []
    assert sorted(atb.workbench.__all__) == atb.workbench.__all__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="load_bar'"):
        atb.workbench.load_bar  # noqa: B018


def test_importing_it_loads_nothing_heavy():
    heavy = ["pandas", "numpy", "plotly", "vectorbt", "sqlalchemy", "papermill", "numba"]
    code = f"import sys, atb.workbench; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_results_and_bars_show_themselves_as_cards(repository):
    done = subprocess.run(
        [sys.executable, "-c", SHELL], capture_output=True, text=True, cwd=repository, env=None, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "scripted · BTC/USDT 1h" in done.stdout
    assert "SYNTHETIC data" in done.stdout
    assert "<table" in done.stdout


def test_a_table_shows_its_texts_in_full_and_its_counts_without_decimals(repository):
    code = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
import atb.workbench, pandas
table = pandas.DataFrame({"why": ["a reason " * 20 + "in full"] * 2, "n_trades": [41.0, 7.0], "bars": [1.0, float("nan")]})
print(shell.display_formatter.format(table)[0]["text/html"])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert "in full" in done.stdout
    assert "<td>41</td>" in done.stdout
    assert "<td>1.0</td>" in done.stdout  # not known for every row: left as it is


def test_outside_a_notebook_a_result_is_its_headline():
    from atb.backtest import run

    result = run(scripted_slot(random_walk(50), (1.0,)))
    assert result.headline in repr(result)
    assert bars_of(random_walk(5)).label in result.label

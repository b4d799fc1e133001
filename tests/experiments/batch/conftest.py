"""A folder with settings, a registry, and a small notebook; no kernel but where a test runs a cell."""

from pathlib import Path

import pytest

from atb.db import open_database
from atb.experiments.batch.plan import make_plan
from tests.experiments.notebooks import notebook, settings_in

PARAMETERS = """
symbol: str = "BTC/USDT"  # market (one of BTC/USDT, ETH/USDT)
window: int = 20  # bars (1..500)
live: bool = False  # whether it trades
"""
PUBLISHES = """
from atb.experiments import publish
publish(metrics={"double": 2 * window})
"""
# Leaves a mark that another run would find, and looks for one.
STATE = """
import os, random, sys, pathlib
assert "mark_of_a_run" not in globals() and not hasattr(sys, "mark_of_a_run")
sys.mark_of_a_run = mark_of_a_run = window
print(window, pathlib.Path.cwd().name, os.environ["ATB_RUN_ID"][-3:] != "", len(sys.path) > 2)
print(sorted(globals())[:4], __name__)
import numpy as np
import pandas as pd
frame = pd.DataFrame({"x": np.arange(window)})
frame.describe()
"""


class World:
    """One project: its settings, its registry, and its notebooks."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.settings = folder, settings_in(folder)
        self.database = open_database(self.settings.database.url)

    def notebook(self, *cells: str, name: str = "small.ipynb") -> Path:
        return notebook(self.folder / name, *cells, parameters=PARAMETERS)

    def plan(self, path: Path, *chosen: dict):
        return make_plan(path, chosen, settings=self.settings, database=self.database)


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.database.close()

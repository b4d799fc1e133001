"""Clocks in the source of a strategy's module are found by their full names, and what only looks like one is not."""

import pytest

from atb.strategies import STRATEGIES
from atb.validation.clocks import clocks_read
from atb.validation.contract import check_strategy
from tests.strategies.own_files import FADE, write_strategy


def found_in(line, imports=""):
    write_strategy(
        "fade",
        FADE.replace("from dataclasses", f"{imports}\nfrom dataclasses", 1).replace(
            "fall = 1 -", f"{line}\n        fall = 1 -"
        ),
    )
    (check,) = [check for check in check_strategy("fade", steps=False) if check.name == "reads no clock"]
    return check


@pytest.mark.parametrize(
    ("imports", "line", "name"),
    [
        ("", "x = np.datetime64('now')", "numpy.datetime64('now')"),
        ("from numpy import datetime64 as day", "x = day('today', 'D')", "numpy.datetime64('today')"),
        ("", "x = np.array(['Now'], dtype='datetime64[s]')", "numpy.array('Now')"),
        ("import pandas as p", "x = p.Timestamp('now')", "pandas.Timestamp('now')"),
        ("import pandas", "x = pandas.to_datetime(arg=['today'])", "pandas.to_datetime('today')"),
        ("import pandas as p", "x = p.Timestamp.utcnow()", "pandas.Timestamp.utcnow"),
        ("import time", "x = time.perf_counter()", "time.perf_counter"),
        ("from time import monotonic_ns as m", "x = m()", "time.monotonic_ns"),
        ("import time as t", "t.sleep(0)", "time.sleep"),
        ("import time", "x = time.strftime('%H')", "time.strftime"),
        ("import datetime as dt", "x = dt.datetime.now(dt.UTC)", "datetime.datetime.now"),
        ("from datetime import date", "x = date.today()", "datetime.date.today"),
        ("import os", "x = os.times()", "os.times"),
    ],
)
def test_a_clock_is_named_with_its_line(imports, line, name):
    check = found_in(line, imports)
    assert check.status == "error"
    assert check.found.startswith(f"{name} in line ")


@pytest.mark.parametrize(
    ("imports", "line"),
    [
        ("import pandas as p", "x = p.DataFrame({'today': [1.0]})"),
        ("import pandas as p", "x = p.Timestamp('2024-01-01')"),
        ("", "x = np.datetime64('2024-01-01')"),
        ("import time", "x = time.strftime('%H', time.gmtime(0))"),
        ("", "now = today = time = 3; x = now + time"),
        ("import datetime as dt", "x = dt.datetime(2024, 1, 1).date()"),
    ],
)
def test_what_asks_no_clock_is_none(imports, line):
    assert found_in(line, imports).status == "ok"


def test_no_built_in_strategy_reads_one():
    assert {name: found for name, kind in STRATEGIES.items() if (found := clocks_read(kind))} == {}

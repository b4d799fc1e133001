"""The cost of a bar's indicators: both sides compute the same values, and a wrong one is seen."""

import pytest

from atb.bench import indicators
from atb.bench.indicators import COLUMNS, measure_indicators
from atb.bench.targets import check_targets


@pytest.fixture(scope="module")
def rows():
    return measure_indicators(4_000, seed=3)


def test_the_live_form_and_pandas_agree(rows):
    assert [(row.engine, row.agrees) for row in rows] == [("atb", True), ("pandas", True)]
    assert f"{len(COLUMNS)} columns a bar" in rows[0].notes[0]
    assert rows[1].ratio_to_atb == pytest.approx(rows[1].cpu_s / rows[0].cpu_s)


def test_a_value_that_differs_is_seen(monkeypatch):
    wrong = tuple(made if made is not indicators._range else (lambda bars: [bars["high"] - bars["low"]])
                  for made in indicators.PANDAS)  # fmt: skip
    monkeypatch.setattr(indicators, "PANDAS", wrong)
    found = measure_indicators(4_000, seed=3)
    assert [row.agrees for row in found] == [False, False]
    assert "DIFFER" in found[0].notes[1]
    assert [target.met for target in check_targets(found)] == [False]


@pytest.mark.parametrize(("ratio", "agrees", "met"), [(500.0, True, True), (499.0, True, False), (900.0, False, False)])
def test_the_target_wants_the_ratio_and_equal_values(rows, ratio, agrees, met):
    rows[1].ratio_to_atb, rows[1].agrees = ratio, agrees
    assert [target.met for target in check_targets(rows)] == [met]

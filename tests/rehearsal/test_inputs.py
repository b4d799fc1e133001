"""A rehearsal of strategies with inputs: the real runner at a simulated exchange that serves other bars, and stored sentiment."""

import pytest

from atb.config import load_settings
from atb.rehearsal.run import rehearse
from tests.input_strategies import READER
from tests.live.fake_broker import GUARDED
from tests.live.test_inputs import result_of, stock
from tests.strategies.own_files import write_strategy


@pytest.mark.slow
@pytest.mark.parametrize("level", ["none", "standard"])
def test_a_rehearsal_with_inputs_equals_its_backtest(sqlite_desk, monkeypatch, level):
    write_strategy("reader", READER)
    monkeypatch.setenv("ATB__STRATEGIES__FOLDER", str(load_settings().strategies_root))
    monkeypatch.setenv("ATB__DATA__ROOT", str(sqlite_desk.root))
    monkeypatch.setenv("ATB__DATABASE__URL", sqlite_desk.url)
    settings = load_settings()
    stock(sqlite_desk.bars_root)
    path = sqlite_desk.promote(result_of(sqlite_desk.bars_root, "slow+other+mood", policy=GUARDED))
    found = rehearse([path], settings, days=4, level=level, seed=3)
    assert found.comparison.equal, found.comparison.first_difference
    assert found.comparison.decisions == 96
    assert found.passed, (str(found.judgement), found.exits, found.with_faults)

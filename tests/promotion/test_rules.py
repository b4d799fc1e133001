"""A rule is a manifest's entry: its texts with the values of their constants, traded by the real runner as they were tested."""

import pytest

from atb.engine.policy import RiskPolicy
from atb.live.plan import make_plan
from atb.promotion.manifest import load_manifest
from atb.strategies import make_strategy
from tests.live.desk import first_open, warm_result
from tests.promotion.test_tampering import standing
from tests.timeouts import PATIENCE_S


@pytest.mark.slow
def test_the_real_runner_trades_a_promoted_rule_as_the_backtest_did(sqlite_desk):
    rule = make_strategy(
        "rule", entry="cross_above(ema(close, {n}), close) and rsi(2) < {low=60}", exit="close > ema(close, {n})", n=3
    )
    result = warm_result(sqlite_desk.stock(200, 1), strategy=rule, policy=RiskPolicy())
    assert len(result.trades) > 2
    path = sqlite_desk.promote(result)
    manifest = load_manifest(path)
    assert manifest.strategy["parameters"]["entry"] == "cross_above(ema(close, {n=3}), close) and rsi(2) < {low=60}"
    assert "atb/strategies/rules/evaluation.py" in manifest.sources
    assert make_plan(manifest, sqlite_desk.models_root).strategy == rule
    process = sqlite_desk.start(path, "--from", first_open(result))
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert f"{len(result.equity)} bars" in out
    row = standing(sqlite_desk)
    assert row["trades"] == (result.trades["status"] == "closed").sum()
    assert float(row["equity"]) == pytest.approx(float(result.equity.iloc[-1]), rel=1e-12)

"""Evidence and findings: every proof is of this very result, and what speaks against it is said."""

import json
import re
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from atb.domain import Signals
from atb.engine.policy import AccountPolicy, RiskPolicy
from atb.engine.slot import Slot
from atb.errors import InputError
from atb.experiments.evidence import ResultEvidence
from atb.promotion.evidence import Proofs
from atb.strategies.from_signals import GivenSides
from atb.workbench import Period, evidence, findings, load_bars, make_strategy, prepare_slot, proofs, run
from tests.bars import bars_of, ramp, random_walk
from tests.scenarios import Scripted, Timed, scripted_slot
from tests.workbench.test_slots import train_model

SIDES = tuple(np.where(np.arange(3_000) // 24 % 2 == 0, 1.0, 0.0))


def proven_without(*left_out):
    """Return evidence in which everything held, vectorbt compared without some costs."""
    from atb.validation.parity import ParityReport  # not for the processes that import this module for its strategies

    parity = ParityReport(True, 7, 50, {"vectorbt": True}, None, left_out)
    return ResultEvidence(parity, (), synthetic=False, bars_in_all=50)


class Peeking(Scripted):
    """Knows whether the next bar rises."""

    def signals(self, frame):
        rises = (frame["close"].shift(-1) > frame["close"]).to_numpy(dtype=float)
        return replace(super().signals(frame), side=rises)


@dataclass(frozen=True)
class Forgetful:
    """Compares with the average of a hundred bars, and says that it needs ten."""

    name: ClassVar[str] = "forgetful"
    predicts: ClassVar[bool] = False
    warmup: ClassVar[int] = 10

    def features(self, bars):
        return bars[["close"]].rolling(100, min_periods=1).mean().rename(columns={"close": "mean"})

    def signals(self, frame):
        return Signals((frame["close"] > frame["mean"]).to_numpy().astype(float))


def timed_slot(frame, sides, **options):
    """Return a scripted slot whose script goes by the bars' times."""
    slot = scripted_slot(frame, sides, **options)
    return replace(slot, strategy=Timed(slot.strategy, slot.bars))


def test_an_honest_result_is_proven():
    proven = evidence(run(timed_slot(random_walk(400), SIDES)))
    assert (proven.parity.equal, proven.lookahead_clean, proven.out_of_sample) == (True, True, None)
    assert (proven.columns_equal, proven.columns[0].checked) == (True, 400)
    assert proven.parity.bars == 400
    published = json.loads(json.dumps(proven.to_json()))
    assert ResultEvidence.from_json(published).to_json() == proven.to_json()
    assert Proofs.from_json(published) == Proofs(parity=True, lookahead_clean=True, columns_equal=True)
    assert [(check.name, check.status) for check in proven.checks()] == [("Parity", "ok"), ("Columns", "ok")]
    assert any("400 bars" in line for line in proofs(proven))


def test_a_strategy_that_looks_ahead_is_found_out():
    slot = scripted_slot(random_walk(400), ())
    proven = evidence(run(replace(slot, strategy=Peeking())))
    assert (proven.lookahead_clean, proven.columns_equal, proven.parity.equal) == (False, False, False)
    assert "LOOKS AHEAD" in findings(run(slot), proven)[0]
    assert "NOT what a runner computes" in "".join(proofs(proven))


def test_a_warm_up_that_is_too_short_is_found_and_is_no_look_ahead():
    result = run(Slot(Forgetful(), bars_of(random_walk(300))), start=random_walk(300).index[20])
    proven = evidence(result)
    assert (proven.columns_equal, proven.lookahead_clean) == (False, None)
    assert findings(result, proven)[0].startswith("A runner would NOT DECIDE this: ")
    assert "warm-up too short" in findings(result, proven)[0]


def test_where_not_every_bar_was_looked_at_it_is_said_and_nothing_is_claimed():
    result = run(timed_slot(random_walk(400), SIDES))
    proven, name = evidence(result, checked_bars=50), result.slots[0].strategy.name
    assert (proven.parity.equal, proven.columns_equal, proven.lookahead_clean) == (True, None, None)
    assert any("50 of 400 bars" in line for line in proofs(proven))
    assert findings(result, proven)[0] == f"Look-ahead and warm-up of {name} were checked at 50 of 400 bars"


def test_of_several_symbols_each_is_named_with_the_bars_that_were_checked():
    slots = [
        timed_slot(random_walk(400, seed), SIDES, symbol=symbol) for seed, symbol in ((1, "A/USDT"), (2, "B/USDT"))
    ]
    result = run(slots)
    found, name = findings(result, evidence(result, checked_bars=50))[:2], result.slots[0].strategy.name
    assert [text.partition(" were ")[0] for text in found] == [
        f"Look-ahead and warm-up of {name} on {symbol}/USDT" for symbol in "AB"
    ]


def test_sides_that_were_given_are_no_proof_of_anything():
    walk = random_walk(400)
    rises = (walk["close"].shift(-1) > walk["close"]).astype(float)
    result = run(Slot(GivenSides(rises), bars_of(walk)))
    proven = evidence(result)
    assert (proven.columns_equal, proven.lookahead_clean) == (None, None)
    assert "columns" not in proven.parity.ways
    assert "were checked at 0 of 400 bars: its sides were given" in findings(result, proven)[0]


def test_a_long_result_is_proven_over_its_last_bars():
    proven = evidence(run(timed_slot(random_walk(400), SIDES)), parity_bars=100)
    assert proven.parity.equal
    assert proven.parity.bars == 100
    assert "100 bars, the last of 400" in proofs(proven)[0]


def test_broken_parity_comes_first():
    proven = proven_without()
    broken = replace(proven, parity=replace(proven.parity, equal=False))
    sentences = findings(run(scripted_slot(random_walk(100), SIDES)), broken)
    assert sentences[0].startswith("Parity FAILED")


def test_synthetic_bars_few_trades_and_losses_are_said():
    result = run(scripted_slot(ramp(down=50), (1.0,), venue="synthetic"))
    sentences = "\n".join(findings(result, proven_without()))
    assert "SYNTHETIC" in sentences
    assert "too few" in sentences
    assert "loses money" in sentences


def test_a_result_that_is_worse_than_holding_says_so():
    sentences = "\n".join(findings(run(scripted_slot(ramp(up=100), (1.0,) * 20 + (0.0,))), proven_without()))
    assert "Holding would have earned more" in sentences
    assert "loses money" not in sentences


def test_a_result_without_trades_neither_loses_nor_is_worse_than_a_holder_who_could_not_buy_either():
    result = run(scripted_slot(random_walk(100), SIDES), account=AccountPolicy(cash=1.0))
    sentences = "\n".join(findings(result, proven_without()))
    assert (result.stats["total_return_pct"], result.baselines["hold"]["total_return_pct"]) == (0.0, 0.0)
    assert "It earned nothing, and lost nothing" in sentences
    assert "0 closed trades are too few" in sentences
    assert "loses money" not in sentences
    assert "Holding" not in sentences


@pytest.mark.parametrize(
    ("end", "seen"), [("2024-12-31", True), pytest.param("2024-06-01", False, marks=pytest.mark.slow)]
)
def test_bars_that_the_model_has_seen_are_counted(stocked, end, seen):
    train_model(load_bars("BTC/USDT", "1h", "2024-01-01", end), stocked / "models")
    slot, start = prepare_slot(make_strategy("ml_basic"), "BTC/USDT", "1h", period=Period("2024-09-01", "2024-10-01"))
    result = run(slot, start=start)
    proven = evidence(result, checked_bars=20)
    assert proven.out_of_sample is not seen
    assert (proven.models[0].bars_seen_before > 0) is seen
    assert ("in training: for them this is no test" in "".join(findings(result, proven))) is seen


def test_a_result_that_costs_or_starting_days_undo_is_called_fragile():
    import pandas as pd

    from atb.backtest import run
    from atb.experiments.findings import fragility, start_spread
    from tests.bars import ramp
    from tests.scenarios import scripted_slot

    result = run(scripted_slot(ramp(up=30), (1.0,)))
    gain = result.stats["total_return_pct"]
    firm = pd.DataFrame({"total return (%)": [gain, gain * 0.9]})
    loose = pd.DataFrame({"total return (%)": [gain, -gain]})
    paid = pd.DataFrame([[1.0, 1.0], [0.5, 0.4]])
    assert fragility(result, costs=paid, shifts=firm) == []
    assert start_spread(loose) == 2 * gain
    dear, late = fragility(result, costs=-paid, shifts=loose)
    assert "At the highest fee it loses money: -0.40 %" in dear
    assert "more than the return itself" in late


def test_what_vectorbt_was_compared_without_is_said():
    (sentence,) = proofs(proven_without("fees in base", "funding"))
    assert "vectorbt equal; vectorbt does not support fees in base, funding" in sentence
    assert "does not support" not in proofs(proven_without())[0]


@pytest.mark.parametrize(
    "broken", [{}, {"columns_reports": None}, {"model": [{"name": "x"}]}, {"parity_report": "yes"}]
)
def test_published_evidence_of_another_form_is_refused(broken):
    published = proven_without().to_json() | broken if broken else {}
    with pytest.raises(InputError, match="The published evidence cannot be read"):
        ResultEvidence.from_json(published)


def test_what_is_not_a_boolean_proves_nothing():
    assert Proofs.from_json({"parity": "true", "lookahead_clean": 1, "columns_equal": None}) == Proofs()
    assert Proofs.from_json({"parity": True, "out_of_sample": False}) == Proofs(parity=True, out_of_sample=False)


def test_results_stand_before_the_rules_that_were_assumed():
    slot = replace(scripted_slot(ramp(down=50), (1.0,)), instrument=None)
    sentences = findings(run(slot), proven_without())
    assumed, lost = (
        next(i for i, row in enumerate(sentences) if word in row) for word in ("No venue's rules", "It loses")
    )
    assert lost < assumed


def test_one_closed_trade_is_one_and_the_bars_of_holes_are_never_0_percent():
    frame = random_walk(3_000, 3)
    bars = frame.drop(frame.index[[1_500]])
    result = run(timed_slot(bars, [0.0] * 10 + [1.0] * 10 + [0.0] * (len(bars) - 20)))
    found = findings(result, proven_without())
    assert "1 closed trade is too few for statistics" in found
    assert "1 closed trade, Sharpe" in result.headline
    (holes,) = [text for text in found if "missing, in" in text]
    assert "1 of 3,000 bars (< 0.1 %) is missing, in 1 hole" in holes
    assert found.index(holes) > found.index("1 closed trade is too few for statistics")


def test_many_missing_bars_stand_before_the_figures_they_spoil():
    frame = random_walk(400, 3)
    result = run(Slot(make_strategy("sma_cross", fast=2, slow=5), bars_of(frame.drop(frame.index[100:150]))))
    found = findings(result, proven_without())
    (holes,) = [text for text in found if "missing, in" in text]
    assert found.index(holes) < min(found.index(text) for text in found if "too few" in text or "Sharpe" in text)


@pytest.mark.parametrize(("stop", "said"), [(0.01, True), (None, False)])
def test_a_baseline_that_its_stop_sold_was_not_held_and_that_is_found(stop, said):
    result = run(Slot(make_strategy("hold"), bars_of(random_walk(300, 2)), RiskPolicy(stop_loss=stop)))
    sentences = [text for text in findings(result, proven_without()) if text.startswith("hold was not held")]
    assert bool(sentences) == said
    if said:
        assert re.search(
            r"it was sold by stop loss \d+ times?; without a stop \(--stop-loss 0\) it is the baseline", sentences[0]
        )

"""A composition is a strategy and a policy of the kernel, and a value that prints, hashes and comes back from JSON."""

import inspect
import json
import subprocess
import sys

import numpy as np
import pytest

from atb.engine.composition import Composition, PolicyPart, exits, sizers
from atb.engine.policy import RiskPolicy
from atb.errors import InputError
from atb.strategies import make_strategy
from atb.strategies.components import filters, signals
from tests.bars import random_walk
from tests.strategies.paths import sides
from tests.timeouts import PATIENCE_S

MADE = Composition(
    signals.average_cross(5, 20),
    filters=(filters.above_average(50),),
    sizer=sizers.risk(0.01),
    exits=(exits.stop_atr(2.0), exits.ladder((0.03, 0.25), (0.06, 0.25)), exits.time_limit(100)),
)
SIZERS = {
    "fraction": (0.5,), "stake": (100.0,), "risk": (0.01,), "volatility": (0.3,), "kelly": (0.4,),
}  # fmt: skip
EXITS = {
    "stop_loss": (0.02,), "stop_atr": (3.0,), "take_profit": (0.1,), "ladder": ((0.03, 0.5),), "trailing_stop": (0.03,),
    "trailing_atr": (4.0,), "break_even": (0.05,), "time_limit": (48,), "session": ("08:00", "20:00"), "flat_weekend": (),
}  # fmt: skip


def test_it_prints_its_components():
    assert str(MADE) == (
        "average_cross(5, 20, ema) + above_average(50) + risk(0.01) + stop_atr(2.0)"
        " + ladder(((0.03, 0.25), (0.06, 0.25))) + time_limit(100)"
    )


def test_its_policy_is_the_kernels_with_the_fields_of_its_parts_and_no_others():
    ladder = ((0.03, 0.25), (0.06, 0.25))
    assert MADE.policy == RiskPolicy(sizing="risk", risk=0.01, stop_atr=2.0, ladder=ladder, max_bars=100)


@pytest.mark.parametrize(("module", "cases"), [(sizers, SIZERS), (exits, EXITS | {"early_cut": (24,)})])
def test_every_sizer_and_exit_changes_the_policy_and_says_how(module, cases):
    named = {
        name for name, one in vars(module).items() if inspect.isfunction(one) and one.__module__ == module.__name__
    }
    assert named == cases.keys()
    for name, given in cases.items():
        more = {"below": 0.01} if name == "early_cut" else {}
        made = getattr(module, name)(*given, **more)
        policy = RiskPolicy(**{"stop_loss": 0.1, **dict(made.fields)})
        assert policy != RiskPolicy(stop_loss=0.1)
        assert str(made).startswith(f"{name}(")
        assert given == () or str(given[0]) in str(made) or repr(given) in str(made)


def test_its_strategy_enters_by_signal_and_filter_and_leaves_by_the_signal_alone():
    bars = random_walk(600, 2)
    found = sides(MADE.strategy, bars)
    bare = sides(Composition(signals.average_cross(5, 20)).strategy, bars)
    above = (bars["close"] > bars["close"].rolling(50).mean()).to_numpy()
    warm = MADE.strategy.warmup
    np.testing.assert_array_equal((found == 1)[warm:], ((bare == 1) & above)[warm:])
    np.testing.assert_array_equal((found == 0)[warm:], (bare == 0)[warm:])
    assert (found == 1).any()


def test_it_sells_short_only_where_it_says_so_and_then_the_policy_allows_it():
    signal, bars = signals.average_cross(5, 20), random_walk(1_500, 2)
    long = Composition(signal)
    short = Composition(signal, filters=[filters.above_average(50)], shorts=True)
    assert not long.policy.allow_short
    assert short.policy.allow_short
    assert -1 not in sides(long.strategy, bars)
    assert (sides(short.strategy, bars) == -1).any()


def test_it_comes_back_from_a_manifests_json_as_equal_strategy_and_policy():
    written = json.loads(json.dumps(MADE.to_json(), allow_nan=False))
    assert make_strategy(written["strategy"]["name"], **written["strategy"]["params"]) == MADE.strategy
    assert RiskPolicy.from_json(written["policy"]) == MADE.policy
    assert written["composition"] == str(MADE)


def test_equal_components_are_one_composition_and_another_value_is_another():
    again = Composition(MADE.signal, list(MADE.filters), MADE.sizer, list(MADE.exits))
    assert again == MADE
    assert hash(again) == hash(MADE)
    assert hash(exits.ladder([0.03, 0.5])) == hash(exits.ladder((0.03, 0.5)))
    other = Composition(MADE.signal, MADE.filters, sizers.risk(0.02), MADE.exits)
    assert other != MADE
    assert other.fingerprint != MADE.fingerprint == again.fingerprint


def test_its_fingerprint_is_of_what_it_decides_in_every_process():
    program = (
        "from atb.engine.composition import *; from atb.strategies.components import filters, signals;"
        "print(Composition(signals.average_cross(5, 20), [filters.above_average(50)]).fingerprint)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    here = Composition(signals.average_cross(5, 20), [filters.above_average(50)])
    assert done.stdout.strip() == here.fingerprint
    # In other words, with the same decisions.
    words = signals.rule("ema(close,5)>ema(close,20) and close>sma(close,50)", "ema(close, 5) < ema(close, 20)")
    assert Composition(words).fingerprint == here.fingerprint


def test_a_filters_or_in_its_text_stays_its_own():
    made = Composition(signals.rule("close > 1 or open > 1"), [filters.where("low > 2 or high > 2")])
    assert made.strategy.entry == "(close > 1 or open > 1) and (low > 2 or high > 2)"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"exits": [exits.stop_loss(0.02), exits.stop_loss(0.03)]}, "Two parts set stop_loss differently"),
        ({"exits": [exits.stop_atr(2.0), exits.trailing_atr(3.0, window=20)]}, "Two parts set atr_window differently"),
        ({"sizer": sizers.risk()}, "risk sizing needs a stop"),
        ({"filters": [exits.stop_loss(0.02)]}, "filters takes a Filter"),
        ({"filters": filters.above_average()}, None),
        ({"sizer": filters.above_average()}, "sizer takes a PolicyPart"),
        ({"filters": [filters.where("rsi(14")]}, "entry"),
        ({"filters": [filters.where("rsi(14)")]}, "A condition is needed here"),
        ({"signal": "rsi"}, "signal takes a Signal"),
        ({"signal": signals.rule("close > 1"), "shorts": True}, "no rules for short positions"),
        (
            {"shorts": True, "exits": [PolicyPart("long_only", (("allow_short", False),))]},
            "set allow_short differently; found 'shorts=True and long_only'",
        ),
    ],
)
def test_parts_that_do_not_fit_are_one_clear_error(wrong, message):
    given = {"signal": signals.average_cross(), **wrong}
    if message is None:
        assert Composition(**given).filters == (given["filters"],)
        return
    with pytest.raises(InputError, match=message):
        Composition(**given)

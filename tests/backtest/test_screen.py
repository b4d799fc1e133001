"""A screen against the kernel: where both trade alike, to the last digits, and each case in which they do not."""

import dataclasses
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from atb.backtest import run, screen, vectorbt_settings
from atb.backtest.screening import NOTICE, Screen
from atb.backtest.sweeping import sweep
from atb.domain import Instrument, Signals, Symbol
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from atb.engine.slot import Slot
from atb.errors import InputError
from atb.experiments.publication import RUN_FOLDER, publish
from atb.strategies.from_signals import GivenSides, sides_from, strategies_from
from atb.strategies.ml_basic import MlBasic
from atb.strategies.sma_cross import SmaCross
from tests.bars import bars_of, frame_of, random_walk
from tests.scenarios import FREE, Scripted, ohlc

BTC = Symbol.parse("BTC/USDT")
# Steps so fine that rounding disappears: vectorbt knows neither lots nor ticks.
FINE = Instrument(BTC, Decimal("1e-10"), Decimal("1e-12"), Decimal(0), Decimal(0))
NO_RESERVE = AccountPolicy(cash=10_000.0, reserve=0.0)
COSTS = ExecutionModel(fee=0.001, slippage=0.0005)
EXAMPLES = {
    "max_position": 0.5,
    "max_participation": 0.1,
    "entry": "limit",
    "cooldown": 3,
    "scale_in": 0.01,
    "stop_atr": 2.0,
    "signal_stop": True,
    "ladder": ((0.01, 0.5),),
    "trailing_stop": 0.02,
    "trailing_atr": 3.0,
    "break_even": 0.02,
    "max_bars": 10,
    "session": ("08:00", "16:00"),
    "flat_weekend": True,
    "cut_after": 5,
}


def both(frame: pd.DataFrame, sides, policy: RiskPolicy, execution: ExecutionModel = COSTS) -> pd.DataFrame:
    """Return the round trips of kernel and screen side by side."""
    bars = bars_of(frame)
    result = run(Slot(Scripted(tuple(sides)), bars, policy, execution, FINE), account=NO_RESERVE)
    return screen(Scripted(tuple(sides)), bars, policy=policy, execution=execution).compare(result)


def calm(seed: int, n: int = 2_000) -> pd.DataFrame:
    """Return a market whose bars are far smaller than the stops used on it."""
    return random_walk(n, seed, sigma=0.002).round(4)


def sides_of(seed: int, n: int = 2_000, *, lasting: int = 7) -> tuple[float, ...]:
    """Return random sides, silence included, that stay for so many bars at a time."""
    chosen = np.random.default_rng(seed).choice([1.0, 0.0, -1.0, np.nan], size=n // lasting + 1, p=[0.4, 0.2, 0.3, 0.1])
    return tuple(np.repeat(chosen, lasting)[:n])


class TestWhereBothAgree:
    @pytest.mark.parametrize("seed", range(4))
    @pytest.mark.parametrize(
        "policy",
        [
            RiskPolicy(fraction=0.95),
            RiskPolicy(fraction=0.3, opposite="ignore"),
            RiskPolicy(fraction=0.5, signal_exit=False),
            RiskPolicy(sizing="fixed_stake", stake=2_000.0),
            RiskPolicy(fraction=0.4, allow_short=True, opposite="exit"),
            RiskPolicy(sizing="fixed_stake", stake=2_000.0, allow_short=True),
            RiskPolicy(sizing="fixed_stake", stake=2_000.0, allow_short=True, signal_exit=False),
        ],
        ids=lambda policy: f"{policy.sizing}-{policy.opposite}-{policy.allow_short}-{policy.signal_exit}",
    )
    def test_without_stops_every_round_trip_is_the_same(self, policy, seed):
        table = both(random_walk(800, seed).round(4), sides_of(seed, 800), policy)
        assert len(table) > 10
        assert table["difference"].unique().tolist() == [""]
        np.testing.assert_allclose(table["quantity_screen"], table["quantity"], rtol=1e-9)
        np.testing.assert_allclose(table["entry_price_screen"], table["entry_price"], rtol=1e-9)

    # With these seeds no stop is touched in a bar at whose open the signal left: there the two differ, see below.
    @pytest.mark.parametrize("seed", [0, 3, 6, 8, 10, 13])
    @pytest.mark.parametrize("reenter", [False, True])
    @pytest.mark.parametrize(
        "policy",
        [
            RiskPolicy(fraction=0.9, stop_loss=0.02),
            RiskPolicy(fraction=0.9, take_profit=0.02),
            RiskPolicy(sizing="fixed_stake", stake=1_000.0, stop_loss=0.02, allow_short=True),
        ],
        ids=["stop", "target", "stop-with-shorts"],
    )
    def test_stops_and_targets_beyond_the_entry_bar_fill_alike(self, policy, reenter, seed):
        table = both(calm(seed), sides_of(seed, lasting=70), dataclasses.replace(policy, reenter=reenter))
        assert (table["exit_reason"].isin(["stop_loss", "take_profit"])).sum() >= 2
        assert table["difference"].unique().tolist() == [""]
        np.testing.assert_allclose(table["quantity_screen"], table["quantity"], rtol=1e-9)

    def test_a_gap_through_the_stop_fills_both_at_the_open(self):
        frame = ohlc((100, 101, 99, 100), (100, 101, 99, 100), (90, 91, 88, 90), (90, 91, 89, 90))
        (trade,) = both(frame, (1.0, 1.0, 1.0, 1.0), RiskPolicy(stop_loss=0.05), FREE).to_dict("records")
        assert (trade["exit_price"], trade["exit_price_screen"], trade["difference"]) == (90.0, 90.0, "")

    def test_the_ranking_has_the_figures_of_the_kernel(self):
        bars = bars_of(random_walk(1_500, 3))
        slot = Slot(SmaCross(10, 40), bars, RiskPolicy(), COSTS, FINE)
        stats, row = (
            run(slot, account=NO_RESERVE).stats,
            screen(SmaCross(10, 40), bars, execution=COSTS).ranking.iloc[0],
        )
        for name in ("total_return_pct", "max_drawdown_pct", "n_trades", "sharpe"):
            assert row[name] == pytest.approx(stats[name], rel=1e-6), name

    @pytest.mark.parametrize("unit", ["ms", "ns"])
    def test_the_unit_of_an_index_does_not_matter(self, unit):
        frame = random_walk(300, 5)
        bars = bars_of(frame.set_axis(frame.index.as_unit(unit)))
        sides = pd.DataFrame({"a": np.tile([1.0, 1.0, 0.0], 100)}, frame.index)
        result = run(Slot(Scripted(tuple(sides["a"])), bars, RiskPolicy(), COSTS, FINE), account=NO_RESERVE)
        assert set(screen(sides, bars, execution=COSTS).compare(result)["difference"]) == {""}

    def test_bars_before_the_start_only_warm_up(self):
        bars = bars_of(random_walk(600, 5))
        start = bars.frame.index[200]
        slot = Slot(SmaCross(5, 20), bars, RiskPolicy(), COSTS, FINE)
        result = run(slot, account=NO_RESERVE, start=start)
        table = screen(SmaCross(5, 20), bars, execution=COSTS, start=start).compare(result)
        assert table["entry_bar"].min() == bars.frame.index[201]
        assert table["difference"].unique().tolist() == [""]


class TestWhereTheyDiffer:
    def test_the_kernel_stops_out_on_the_entry_bar_and_vectorbt_never_does(self):
        # The bar opens at 100, falls to 94 and closes at 101: a stop at 95, resting from the fill, is gone.
        frame = ohlc(
            (100, 100, 100, 100), (100, 102, 94, 101), (101, 103, 101, 102), (102, 103, 101, 103), (103, 104, 102, 104)
        )
        table = both(frame, (1.0, 1.0, 1.0, 0.0, 0.0), RiskPolicy(stop_loss=0.05), FREE)
        (trade,) = table.to_dict("records")
        assert (trade["exit_bar"], trade["exit_price"], trade["exit_reason"]) == (frame.index[1], 95.0, "stop_loss")
        assert (trade["exit_bar_screen"], trade["exit_price_screen"]) == (frame.index[4], 103.0)
        assert trade["entry_price"] == trade["entry_price_screen"] == 100.0
        assert trade["difference"] == "the kernel's stop_loss was touched in the entry bar"

    def test_an_exit_at_the_open_comes_before_a_stop_in_that_bar_only_in_the_kernel(self):
        frame = ohlc(
            (100, 100, 100, 100), (100, 101, 99, 100), (100, 101, 99, 100), (100, 101, 90, 92), (92, 93, 91, 92)
        )
        table = both(frame, (1.0, 1.0, 0.0, 0.0, 0.0), RiskPolicy(stop_loss=0.05), FREE)
        (trade,) = table.to_dict("records")
        assert (trade["exit_price"], trade["exit_reason"]) == (100.0, "exit_signal")
        assert trade["exit_price_screen"] == 95.0
        assert trade["difference"] == "the kernel left at the open, the screen at a stop or target in that bar"

    def test_a_target_beside_a_stop_pays_slippage_only_in_the_screen(self):
        frame = ohlc((100, 100, 100, 100), (100, 101, 99, 100), (100, 112, 99, 110), (110, 111, 109, 110))
        policy, costs = RiskPolicy(stop_loss=0.05, take_profit=0.1), ExecutionModel(fee=0.0, slippage=0.001)
        (trade,) = both(frame, (1.0, 1.0, 1.0, 1.0), policy, costs).to_dict("records")
        assert trade["exit_price"] == pytest.approx(100.1 * 1.1)
        assert trade["exit_price_screen"] == pytest.approx(100.1 * 1.1 * 0.999)
        assert trade["difference"] == "the screen's target paid slippage"

    @pytest.mark.parametrize(
        ("gap", "price", "difference"),
        [
            ("open", 107.0, ""),
            ("own", 105.0, "the open passed the target: the screen got it, the kernel the target's price"),
        ],
    )
    def test_a_target_that_the_open_passes_gets_the_open_in_the_screen(self, gap, price, difference):
        frame = ohlc((100, 101, 99, 100), (100, 101, 99, 100), (107, 108, 106, 107), (107, 108, 106, 107))
        policy, costs = RiskPolicy(take_profit=0.05), dataclasses.replace(FREE, limit_gap=gap)
        (trade,) = both(frame, (1.0, 1.0, 1.0, 1.0), policy, costs).to_dict("records")
        assert (trade["exit_price"], trade["exit_price_screen"], trade["difference"]) == (price, 107.0, difference)

    def test_an_order_beyond_the_cash_is_refused_by_the_kernel_and_cut_by_vectorbt(self):
        frame = ohlc((100, 100, 100, 100), (110, 110, 110, 110), (110, 110, 110, 110), (110, 110, 110, 110))
        table = both(frame, (1.0, 0.0, 0.0, 0.0), RiskPolicy(fraction=1.0), FREE)
        assert table["difference"].tolist() == ["only the screen entered"]
        assert table["quantity_screen"].tolist() == pytest.approx([10_000 / 110])

    def test_an_entry_the_other_way_is_forgotten_where_vectorbt_stops_out(self):
        frame = ohlc((100, 100, 100, 100), (100, 101, 99, 100), (100, 101, 90, 92), (92, 93, 91, 92), (92, 93, 91, 92))
        policy = RiskPolicy(sizing="fixed_stake", stake=1_000.0, stop_loss=0.05, allow_short=True)
        table = both(frame, (1.0, -1.0, -1.0, -1.0, -1.0), policy, FREE)
        assert table["side"].tolist() == ["long", "short"]
        assert table["difference"].iloc[1] == "only the kernel entered"


@pytest.mark.slow
def test_on_real_candles_every_difference_has_its_reason(real_data):
    frame = pd.read_parquet(real_data / "binance_ETHUSDT_1h.parquet").set_index("timestamp")
    bars = bars_of(frame[["open", "high", "low", "close", "volume"]].astype(float), "ETH/USDT")
    fine = dataclasses.replace(FINE, symbol=bars.symbol)
    differences = {}
    for stop in (None, 0.02):
        policy = RiskPolicy(stop_loss=stop)
        result = run(Slot(SmaCross(20, 50), bars, policy, COSTS, fine), account=NO_RESERVE)
        differences[stop] = screen(SmaCross(20, 50), bars, policy=policy, execution=COSTS).compare(result)["difference"]
    assert set(differences[None]) == {""}
    assert len(differences[0.02]) > 500
    assert (differences[0.02] == "").mean() > 0.9
    assert set(differences[0.02]) <= {
        "",
        "the kernel's stop_loss was touched in the entry bar",
        "the kernel left at the open, the screen at a stop or target in that bar",
    }


@pytest.mark.slow
def test_both_engines_give_the_same_orders():
    bars = bars_of(random_walk(1_000, 9))
    sides = pd.DataFrame({seed: sides_of(seed, 1_000) for seed in range(5)}, index=bars.frame.index)
    policy = RiskPolicy(sizing="fixed_stake", stake=3_000.0, stop_loss=0.03, take_profit=0.05, allow_short=True)
    compiled, rust = (screen(sides, bars, policy=policy, engine=engine).portfolio for engine in ("numba", "rust"))
    assert len(rust.orders.values) > 200
    np.testing.assert_array_equal(compiled.orders.values, rust.orders.values)


class TestWhatIsRefused:
    def test_every_rule_of_the_policy_is_followed_refused_or_idle(self):
        known = [*vectorbt_settings.CARRIED, *vectorbt_settings.UNCARRIED, *vectorbt_settings.IDLE]
        assert sorted(known) == sorted(field.name for field in dataclasses.fields(RiskPolicy))
        assert set(EXAMPLES) == set(vectorbt_settings.UNCARRIED)
        assert vectorbt_settings.uncarried(RiskPolicy(), ExecutionModel()) == []

    @pytest.mark.parametrize("name", vectorbt_settings.UNCARRIED)
    def test_a_rule_that_vectorbt_lacks_is_named(self, name):
        with pytest.raises(InputError, match=rf"cannot follow these rules; found .*{name}=.*backtest\.sweep"):
            screen(Scripted(), bars_of(random_walk(50)), policy=RiskPolicy(**{name: EXAMPLES[name]}))

    def test_all_rules_are_named_at_once(self):
        policy = RiskPolicy(sizing="kelly", max_bars=5, trailing_stop=0.02)
        with pytest.raises(InputError) as refused:
            screen(Scripted(), bars_of(random_walk(50)), policy=policy, execution=ExecutionModel(impact=0.1))
        for part in ("sizing='kelly'", "max_bars=5", "trailing_stop=0.02", "impact=0.1"):
            assert part in str(refused.value)

    @pytest.mark.parametrize(
        ("policy", "execution", "named"),
        [
            ({"fraction": 2.0}, {}, "fraction=2.0"),
            ({"allow_short": True}, {}, "opposite='reverse'"),
            ({"allow_short": True, "opposite": "ignore"}, {}, "opposite='ignore'"),
            ({"allow_short": True, "opposite": "exit", "reenter": True}, {}, "reenter=True"),
            ({"allow_short": True, "opposite": "exit"}, {"borrow_rate": 0.1}, "borrow_rate"),
            ({"take_profit": 0.1}, {"maker_fee": 0.0}, "maker_fee"),
            ({"take_profit": 0.1, "stop_loss": 0.1}, {"target_first": True}, "target_first"),
            ({}, {"slippage_atr": 0.1}, "slippage_atr"),
            ({}, {"fee_in_base": True}, "fee_in_base"),
        ],
    )
    def test_a_rule_that_only_together_cannot_be_followed_is_named(self, policy, execution, named):
        with pytest.raises(InputError, match=named):
            screen(
                Scripted(), bars_of(random_walk(50)), policy=RiskPolicy(**policy), execution=ExecutionModel(**execution)
            )

    def test_costs_that_no_order_would_pay_are_no_obstacle(self):
        costs = ExecutionModel(maker_fee=0.0, borrow_rate=0.1, target_first=True)
        assert len(screen(Scripted((1.0,)), bars_of(random_walk(50)), execution=costs).ranking) == 1

    @pytest.mark.parametrize(
        ("given", "match"),
        [
            (np.zeros(49), r"one row per bar; found 'shape \(49,\) for 50 bars'"),
            (np.zeros((50, 2, 2)), "one row per bar"),
            (np.full(50, 2.0), "side must be -1, 0, 1 or NaN"),
            (np.ones(50, dtype=bool), "not booleans"),
            (np.zeros((50, 0)), "at least one column"),
            ([], "at least one column"),
            ([Scripted(), Scripted()], "Two columns of sides have one name"),
            (MlBasic(), "no model to ask; found 'ml_basic'"),
            ("sma_cross", "found 'str'"),
            (pd.DataFrame({"a": np.zeros(50)}), "the bars' index"),
        ],
    )
    def test_sides_that_do_not_fit_are_refused(self, given, match):
        with pytest.raises(InputError, match=match):
            screen(given, bars_of(random_walk(50)))

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"engine": "cuda"}, "engine must be one of auto, numba, rust"),
            ({"cash": 0.0}, "cash must be a number"),
            ({"price": 1.0}, "settles this itself; found 'price'"),
            ({"direction": "both"}, "no such option; found 'direction'"),
            ({"fixed_fee": 1.0}, "Did you mean 'fixed_fees'"),
            ({"start": pd.Timestamp("2030-01-01", tz="UTC")}, "No bar to trade"),
        ],
    )
    def test_wrong_settings_are_refused(self, options, match):
        with pytest.raises(InputError, match=match):
            screen(Scripted((1.0,)), bars_of(random_walk(50)), **options)

    def test_other_options_of_vectorbt_reach_it(self):
        bars, sides = bars_of(random_walk(50)), Signals(np.array([1.0, 1.0, 0.0] * 16 + [0.0, 0.0]))
        free, dear = (screen(sides, bars, execution=FREE, fixed_fees=fee).ranking for fee in (0.0, 5.0))
        assert dear["total_return_pct"].iloc[0] < free["total_return_pct"].iloc[0]

    def test_a_screen_is_never_published(self, tmp_path, monkeypatch):
        monkeypatch.setenv(RUN_FOLDER, str(tmp_path))
        found = screen(Scripted((1.0,)), bars_of(random_walk(50)))
        before = sorted(tmp_path.iterdir())
        with pytest.raises(InputError, match=r"Only the result of a backtest.*found 'Screen'"):
            publish(metrics={}, result=found)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="cannot be published"):
            publish(metrics={"screen": found})
        assert sorted(tmp_path.iterdir()) == before

    def test_a_comparison_needs_a_column_and_the_same_bars(self):
        bars = bars_of(random_walk(300))
        found = screen([SmaCross(5, 20), SmaCross(5, 30)], bars)
        with pytest.raises(InputError, match=r"no such column; found 'x'\. One of \['sma_cross fast=5 slow=20'"):
            found.compare(run(Slot(SmaCross(5, 20), bars)), "x")
        other = run(Slot(SmaCross(5, 20), bars), start=bars.frame.index[50])
        with pytest.raises(InputError, match="on the same bars"):
            found.compare(other, "sma_cross fast=5 slow=20")
        rungs = RiskPolicy(ladder=((0.001, 0.5),))
        with pytest.raises(InputError, match="several entries or exits"):
            found.compare(run(Slot(SmaCross(5, 20), bars, rungs)), "sma_cross fast=5 slow=20")


@pytest.fixture(scope="module")
def found() -> Screen:
    bars = bars_of(random_walk(600, 2), venue="synthetic")
    return screen([SmaCross(5, slow) for slow in range(10, 40, 2)], bars, policy=RiskPolicy(stop_loss=0.05))


class TestWhatIsShown:
    def test_the_best_column_comes_first(self, found):
        returns = found.ranking["total_return_pct"]
        assert len(returns) == 15
        assert returns.is_monotonic_decreasing
        assert list(found.ranking) == ["total_return_pct", "sharpe", "max_drawdown_pct", "n_trades"]
        assert (found.ranking["max_drawdown_pct"] >= 0).all()

    def test_the_first_line_says_what_a_screen_is(self, found):
        first, second, *_ = repr(found).splitlines()
        assert first == NOTICE == "A screen ranks; it is never evidence."
        assert second == "BTC/USDT 1h · SYNTHETIC data: 15 columns, the best 10 by return"
        assert found._repr_html_().startswith(f"<div><b>{NOTICE}</b>")
        assert all(rule in repr(found) for rule in found.fill_rules)

    def test_column_names_are_text_and_no_markup(self):
        bars = bars_of(random_walk(50))
        sides = pd.DataFrame({"<script>": np.zeros(50)}, index=bars.frame.index)
        assert "<script>" not in screen(sides, bars)._repr_html_()

    def test_it_does_not_change(self, found):
        with pytest.raises(dataclasses.FrozenInstanceError):
            found.label = "x"  # type: ignore[misc]

    def test_only_rules_that_apply_are_stated(self):
        def notes(**policy: object) -> str:
            return " ".join(vectorbt_settings.fill_rules(RiskPolicy(**policy), COSTS))

        assert "entry bar" not in notes()
        assert "entry bar" in notes(stop_loss=0.1)
        assert "pays slippage" not in notes(take_profit=0.1)
        assert "pays slippage" in notes(take_profit=0.1, stop_loss=0.1)
        assert "takers reach it first" in notes(take_profit=0.1)
        assert "takers reach it first" not in notes(stop_loss=0.1)
        assert "reversal" in notes(sizing="fixed_stake", stake=1.0, allow_short=True)


class TestIndicatorsOfVectorbt:
    """What `IndicatorFactory` gives goes into screens and backtests alike."""

    @pytest.mark.slow
    def test_combinations_of_averages_trade_like_the_strategy_of_the_same_windows(self):
        import vectorbt as vbt

        bars = bars_of(random_walk(1_200, 6).round(6))
        fast, slow = vbt.MA.run_combs(bars.frame["close"], [5, 20, 60], r=2, short_names=["fast", "slow"])
        sides = sides_from(fast.ma_crossed_above(slow), fast.ma_crossed_below(slow))
        strategies = strategies_from(sides)
        assert [strategy.label for strategy in strategies] == [
            "fast_window=5, slow_window=20", "fast_window=5, slow_window=60", "fast_window=20, slow_window=60",
        ]  # fmt: skip
        own = run(Slot(SmaCross(5, 60), bars)).orders.drop(columns=["order_id", "strategy"])
        given = run(Slot(strategies[1], bars)).orders.drop(columns=["order_id", "strategy"])
        first = (
            own["bar"] >= given["bar"].iloc[0]
        )  # a cross before the first value of the slow average is not seen as one
        assert len(given) > 10
        np.testing.assert_array_equal(own.loc[first, "bar"].to_numpy()[-len(given) :], given["bar"].to_numpy())
        ranked = screen(sides, bars).ranking
        assert sorted(ranked.index) == sorted(sides.columns)

    def test_a_sweep_over_given_columns_has_the_figures_of_single_runs(self):
        bars = bars_of(random_walk(600, 8))
        rng = np.random.default_rng(1)
        entries, exits = (pd.DataFrame(rng.random((600, 3)) < 0.05, bars.frame.index, list("abc")) for _ in range(2))
        slot = Slot(Scripted(), bars, RiskPolicy(stop_loss=0.03))
        strategies = strategies_from(sides_from(entries, exits))
        swept = sweep(slot, strategies=strategies)
        assert swept.table["label"].tolist() == ["a", "b", "c"]
        for row, strategy in enumerate(strategies):
            alone = run(dataclasses.replace(slot, strategy=strategy))
            assert swept.table.loc[row, "total_return_pct"] == alone.stats["total_return_pct"]
            assert swept.table.loc[row, "n_trades"] == alone.stats["n_trades"] > 5

    def test_the_same_sides_give_the_same_column_as_a_frame_and_as_strategies(self):
        bars = bars_of(frame_of(np.array([100.0, 101, 103, 102, 104, 103, 105])))
        sides = pd.DataFrame({"a": [1.0, 1, 0, 1, 1, 0, 0], "b": [0.0, 1, 1, 1, 0, 0, 0]}, index=bars.frame.index)
        pd.testing.assert_frame_equal(
            screen(sides, bars).ranking, screen(strategies_from(sides), bars).ranking, check_names=False
        )
        assert screen(GivenSides(sides["a"], "a"), bars).ranking.index.tolist() == ["a"]

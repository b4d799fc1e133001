"""Every registered indicator: causal, aligned, warm when it says so, live as in research, and careful with its input."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from atb.errors import InputError
from atb.features.indicators import INDICATORS, Indicator, Live
from tests.bars import random_walk
from tests.contracts.columns import prefix_differences
from tests.seeds import SEED

QUICK_CANDLES = {
    "cdl_engulfing",
    "cdl_doji",
    "cdl_hikkake",
}  # 61 patterns are one function: three of them in the quick suite
NAMES = [
    pytest.param(name, marks=pytest.mark.slow) if one.family == "candles" and name not in QUICK_CANDLES else name
    for name, one in INDICATORS.items()
]
MARKETS = ("moving", "standing", "stepwise")
RECURSIVE = [name for name, one in INDICATORS.items() if not one.exact]


@pytest.fixture(params=NAMES)
def indicator(request) -> Indicator:
    return INDICATORS[request.param]


def warmup(indicator: Indicator) -> int:
    return indicator.warmup(**indicator.example)


def market(kind: str, rows: int, seed: int = 5) -> pd.DataFrame:
    """Return bars of a market that moves; that stands still for six tenths of them; or that moves once in twenty bars."""
    if kind == "moving":
        return random_walk(rows, seed)
    bars = random_walk(rows, seed, price=0.7, sigma=0.05)  # in ticks of 0.01: equal values occur all the time
    if kind == "standing":
        bars.iloc[rows // 5 : 4 * rows // 5, :4] = bars["close"].iloc[rows // 5]
        bars.iloc[rows // 2 : 4 * rows // 5, 4] = 0.0
        return bars
    return bars.iloc[np.repeat(np.arange(rows // 20 + 1), 20)[:rows]].set_index(bars.index)


def columns_of(indicator: Indicator, bars: pd.DataFrame) -> list[np.ndarray]:
    return [bars[name].to_numpy() for name in indicator.inputs]


def table(indicator: Indicator, bars: pd.DataFrame) -> np.ndarray:
    """Return the outputs, rows x columns."""
    made = indicator.function(*columns_of(indicator, bars), **indicator.example)
    return np.column_stack(made if isinstance(made, tuple) else (made,))


def live_rows(indicator: Indicator, bars: pd.DataFrame) -> Iterator[np.ndarray]:
    stream = indicator.stream(**indicator.example)
    for bar in zip(*(column.tolist() for column in columns_of(indicator, bars)), strict=True):
        yield np.atleast_1d(stream.update(*bar))


def rows_for(indicator: Indicator) -> int:
    """Return rows of which six tenths are more than the warm-up."""
    return 150 + 2 * warmup(indicator)


def test_is_registered_under_its_own_name(indicator):
    assert INDICATORS[indicator.name] is indicator
    assert indicator.function.__name__ == indicator.name
    assert indicator.example.keys() <= indicator.parameters.keys()
    assert len(set(indicator.outputs)) == len(indicator.outputs)


def test_its_description_says_one_thing_in_one_sentence(indicator):
    first = indicator.function.__doc__.splitlines()[0]
    assert first.startswith("Return ")
    assert first.endswith((".", ")", ":")) or "(" in first


def test_names_are_unique_and_families_are_few():
    assert len(INDICATORS) == len({one.function.__name__ for one in INDICATORS.values()})
    assert sum(one.family == "candles" for one in INDICATORS.values()) == 61
    assert len(INDICATORS) - 61 >= 60


@pytest.mark.parametrize("seed", [0] if SEED is None else [SEED])
def test_never_looks_ahead(indicator, seed):
    rows = rows_for(indicator)
    cuts = sorted({1, 2, 30, 77, rows // 2, rows - 1})
    assert prefix_differences(lambda bars: table(indicator, bars), market("moving", rows, seed), cuts) == []


def test_a_series_keeps_its_index_and_has_the_bits_of_an_array(indicator):
    bars = market("moving", 200)
    made = indicator.function(*(bars[name] for name in indicator.inputs), **indicator.example)
    outputs = made if isinstance(made, tuple) else (made,)
    assert len(outputs) == len(indicator.outputs)
    for output, expected in zip(outputs, table(indicator, bars).T, strict=True):
        assert output.index is bars.index or output.index.equals(bars.index)
        assert output.dtype == np.float64
        assert output.to_numpy().tobytes() == expected.tobytes()


def test_several_outputs_are_named(indicator):
    made = indicator.function(*columns_of(indicator, market("moving", 60)), **indicator.example)
    assert not isinstance(made, tuple) or made._fields == indicator.outputs


def test_leaves_its_input_alone(indicator):
    bars = market("standing", 150)
    before = bars.copy(deep=True)
    table(indicator, bars)
    pd.testing.assert_frame_equal(bars, before, check_exact=True)


@pytest.mark.parametrize("kind", MARKETS)
def test_has_a_number_in_every_row_once_warm_and_never_an_infinity(indicator, kind):
    made, enough = table(indicator, market(kind, rows_for(indicator))), warmup(indicator)
    assert np.isfinite(made[enough:]).all()
    assert not np.isinf(made).any()
    assert np.isnan(made[0]).all() or enough == 0


@pytest.mark.parametrize("kind", MARKETS)
def test_live_values_equal_the_whole_columns_to_the_last_bit(indicator, kind):
    bars = market(kind, rows_for(indicator))
    live = np.array(list(live_rows(indicator, bars)), dtype=np.float64)
    np.testing.assert_array_equal(live, table(indicator, bars))  # NaN equals NaN


@pytest.mark.parametrize("kind", MARKETS)
def test_a_row_is_of_its_warm_up_and_nothing_else(indicator, kind):
    """Bit by bit for windows, to a billionth for what is recursive; and never of another sign, which would be another side."""
    bars, enough = market(kind, rows_for(indicator) + 7), warmup(indicator)
    whole = table(indicator, bars)
    for row in range(enough, len(bars), 3 if indicator.exact else 1 + enough // 40):
        newest = table(indicator, bars.iloc[row - enough : row + 1])[-1]
        np.testing.assert_array_equal(np.sign(newest), np.sign(whole[row]))
        if indicator.exact:
            np.testing.assert_array_equal(newest, whole[row])
        else:
            np.testing.assert_allclose(newest, whole[row], rtol=1e-9, atol=1e-9)


def test_refuses_a_hole_in_its_input_and_says_where(indicator):
    holed = market("moving", 240)
    holed.iloc[170, holed.columns.get_loc(indicator.inputs[0])] = np.nan
    with pytest.raises(InputError, match="Row 170 has no number"):
        table(indicator, holed)


def test_live_a_hole_is_refused_and_the_stream_goes_on_as_before(indicator):
    bars, enough = market("moving", 120), 60
    stream, expected = indicator.stream(**indicator.example), table(indicator, bars)
    rows = list(zip(*(column.tolist() for column in columns_of(indicator, bars)), strict=True))
    for row in rows[:enough]:
        stream.update(*row)
    for wrong in (np.nan, np.inf):
        with pytest.raises(InputError, match="no number for"):
            stream.update(*rows[enough][:-1], wrong)
    for at in range(enough, len(rows)):
        np.testing.assert_array_equal(np.atleast_1d(stream.update(*rows[at])), expected[at])


def test_waits_for_an_input_that_is_still_warming_up(indicator):
    late, enough = market("moving", rows_for(indicator) + 50), warmup(indicator)
    late.iloc[:50] = np.nan
    made = table(indicator, late)
    assert np.isnan(made[:50]).all()
    assert np.isfinite(made[50 + enough :]).all()
    np.testing.assert_array_equal(made[50:], table(indicator, late.iloc[50:]))
    np.testing.assert_array_equal(np.array(list(live_rows(indicator, late.iloc[:200]))), made[:200])


@pytest.mark.parametrize("rows", [0, 1, 2, 7])
def test_a_short_history_gives_a_short_column(indicator, rows):
    assert table(indicator, market("moving", 20).iloc[:rows]).shape == (rows, len(indicator.outputs))


@pytest.mark.parametrize("wrong", [0, -3, 2.5, True, "5", 10**9])
def test_refuses_a_period_that_is_no_count_of_bars(indicator, wrong):
    bars = columns_of(indicator, market("moving", 30))
    periods = [name for name, value in indicator.example.items() if isinstance(value, int)]
    for name in periods:
        with pytest.raises(InputError, match="whole number of bars"):
            indicator.function(*bars, **{**indicator.example, name: wrong})


@pytest.mark.parametrize("wrong", [0.0, -1.0, np.nan, np.inf, True, "2"])
def test_refuses_a_factor_that_is_not_above_0(indicator, wrong):
    bars = columns_of(indicator, market("moving", 30))
    for name in (name for name, value in indicator.example.items() if isinstance(value, float)):
        with pytest.raises(InputError, match=f"needs a {name} above 0"):
            indicator.function(*bars, **{**indicator.example, name: wrong})


def test_every_parameter_matters(indicator):
    bars = market("moving", 400)
    one = table(indicator, bars)
    for name, value in indicator.example.items():
        changed = {**indicator.example, name: value * 0.5 if isinstance(value, float) else value + 1}
        made = indicator.function(*columns_of(indicator, bars), **changed)
        assert not np.array_equal(one, np.column_stack(made if isinstance(made, tuple) else (made,)), equal_nan=True)


def test_names_what_a_warm_up_or_a_stream_lacks():
    with pytest.raises(InputError, match="sma needs a value for n"):
        INDICATORS["sma"].warmup()
    with pytest.raises(InputError, match="rsi has no such parameter; found 'm'"):
        INDICATORS["rsi"].stream(m=5)
    with pytest.raises(InputError, match="one value per input"):
        INDICATORS["atr"].stream().update(1.0)


def test_a_shared_step_of_a_live_graph_runs_once():
    first, again = (INDICATORS[name].stream() for name in ("macd", "macd_histogram"))
    assert isinstance(first._results[0], Live)
    assert len(again._steps) <= len(first._steps)


def test_the_suite_would_catch_a_centred_average():
    def peeking(bars: pd.DataFrame) -> np.ndarray:
        return bars["close"].rolling(5, center=True).mean().to_numpy()

    assert prefix_differences(peeking, market("moving", 900)) != []


def test_the_suite_would_catch_a_running_sum():
    """Prices that stand still tell running sums: what passed through them stays in their last bits."""
    import talib

    close = market("standing", 240)["close"].to_numpy()
    whole = talib.SMA(close, 24)
    assert any(talib.SMA(close[row - 23 : row + 1], 24)[-1] != whole[row] for row in range(23, 240))


def test_the_suite_would_catch_an_average_that_never_arrives():
    """TA-Lib's Wilder average of true ranges shrinks for thousands of bars of a market that stands still."""
    import talib

    moved = np.r_[np.ones(30), np.zeros(600)]
    assert talib.RMA(moved, 14)[-1] > 0
    assert INDICATORS["rma"].function(moved, 14)[-1] == 0

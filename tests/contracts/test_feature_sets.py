"""Every registered feature set: causal, ordered, complete once warm, live as in research, and numb to the level of prices."""

import numpy as np
import pandas as pd
import pytest

from atb.domain.inputs import declared_inputs
from atb.errors import InputError
from atb.features.sets import FEATURE_SETS, LIMIT, FeatureSet
from tests.bars import frame_of, random_walk
from tests.contracts.columns import HOUR_MS, feature_values, input_rows, inputs_for, prefix_differences
from tests.seeds import seeds

BARS = random_walk(1200, seed=9)


@pytest.fixture(params=FEATURE_SETS)
def features(request) -> FeatureSet:
    return FEATURE_SETS[request.param]


def standing(rows: int) -> pd.DataFrame:
    """Return bars that move, stand still with no volume for fifty bars, and move again."""
    bars = random_walk(rows, 2, price=0.9, sigma=0.02)
    bars.iloc[-250:-200, :4] = bars["close"].iloc[-250]
    bars.iloc[-250:-200, 4] = 0.0
    return bars


def test_has_a_name_a_version_a_question_and_columns_of_one_name_each(features):
    assert FEATURE_SETS[features.name] is features
    assert features.version >= 1
    assert features.question
    assert len(set(features.columns)) == len(features.columns)
    assert features.of_input.keys() == declared_inputs(features).keys()


@pytest.mark.parametrize("seed", seeds(2, quick=1))
def test_never_looks_ahead(features, seed):
    cuts = (1, 2, 77, 541, 700, 899)
    assert prefix_differences(lambda bars: feature_values(features, bars), random_walk(900, seed), cuts) == []


def test_a_row_is_of_its_warm_up_and_nothing_else(features):
    """To a billionth: Wilder's smoothing forgets its start to the last bits; and always the same from any start."""
    bars, enough = standing(features.warmup + 320), features.warmup
    whole = feature_values(features, bars)
    for row in range(enough, len(bars), 7):
        newest = feature_values(features, bars.iloc[row - enough : row + 1])[-1]
        np.testing.assert_allclose(newest, whole[row], rtol=1e-9, atol=1e-9)
        assert np.isfinite(newest).all()


def test_live_values_equal_the_whole_table_to_the_last_bit(features):
    bars = standing(features.warmup + 270)
    known = inputs_for(features, bars)
    aligned = features._aligned(known)
    stream, live = features.stream(), []
    opened = bars.index.as_unit("ms").asi8.astype(float)
    for row, bar in enumerate(bars.itertuples(index=False)):
        live.append(stream.update(opened[row], *bar, *(column[row] for column in aligned.values())))
    whole = features.values(bars, known)
    np.testing.assert_array_equal(np.array(live)[features.warmup :], whole[features.warmup :])


def test_live_columns_of_an_input_equal_those_of_its_whole_table_to_the_last_bit(features):
    for name, of in features.of_input.items():
        known = input_rows(features.name)[name].known(BARS.index.as_unit("ms").asi8 + HOUR_MS)
        stream = of.stream()
        opened = known.frame.index.as_unit("ms").asi8.astype(float)
        read = known.frame[list(of.reads)].to_numpy()
        live = np.array([stream.update(opened[row], *read[row]) for row in range(len(read))])
        np.testing.assert_array_equal(live, np.column_stack(list(of.compute(known).values())))


def test_has_its_columns_in_order_on_the_bars_index(features):
    frame = features.compute(BARS, inputs_for(features, BARS))
    assert tuple(frame.columns) == features.columns
    assert frame.index.equals(BARS.index)
    np.testing.assert_array_equal(frame.to_numpy(), feature_values(features, BARS))


def test_is_missing_while_warming_up_and_complete_after(features):
    found = feature_values(features, BARS)
    assert np.isnan(found[: features.warmup]).all()
    assert np.isfinite(found[features.warmup :]).all()
    assert (abs(found[features.warmup :]) <= 2 * LIMIT).all()


def test_leaves_the_bars_alone(features):
    before = BARS.copy(deep=True)
    feature_values(features, BARS)
    pd.testing.assert_frame_equal(BARS, before, check_exact=True)


def test_every_column_moves(features):
    assert (np.nanstd(feature_values(features, random_walk(1200, seed=9)), axis=0) > 0).all()


def test_does_not_know_the_level_of_prices_or_volumes(features):
    scaled = BARS.assign(**{name: BARS[name] * 64 for name in ("open", "high", "low", "close", "volume")})
    np.testing.assert_allclose(feature_values(features, scaled), feature_values(features, BARS), rtol=1e-7, atol=1e-7)


def test_a_market_that_stands_still_gives_numbers_and_of_its_own_price_no_side(features):
    still = frame_of(np.full(features.warmup + 60, 0.7)).assign(volume=0.0)
    found = feature_values(features, still)[features.warmup :]
    assert np.isfinite(found).all()
    if features.name in {"basic", "price_windows", "technical"}:
        assert (found == 0).all()


def test_an_empty_history_gives_an_empty_table(features):
    assert feature_values(features, BARS.iloc[:0]).shape == (0, len(features.columns))


def test_refuses_bars_without_volume(features):
    with pytest.raises(InputError, match="lack a column; found 'volume'"):
        feature_values(features, BARS.drop(columns="volume"))


def test_refuses_to_be_computed_without_an_input_that_it_declares(features):
    if features.inputs:
        with pytest.raises(InputError, match=f"feature set {features.name} needs an input that was not given"):
            features.values(BARS)


def test_an_input_that_is_missing_or_too_old_is_a_missing_value_and_no_other(features):
    """Its rows end in the middle: later rows of its columns are NaN, and nothing is filled in."""
    bars = random_walk(1200, seed=9)
    closes = bars.index.as_unit("ms").asi8 + HOUR_MS
    for name, rows in input_rows(features.name).items():
        end = int(np.searchsorted(rows.known_ms, closes[600]))
        known = inputs_for(features, bars) | {name: rows.part(0, end).known(closes)}
        found = features.values(bars, known)
        assert np.isfinite(found[features.warmup : 598]).all()
        assert np.isnan(found[-1]).any()
        np.testing.assert_array_equal(found[:598], feature_values(features, bars)[:598])

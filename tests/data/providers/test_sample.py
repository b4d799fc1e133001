"""The synthetic market: reproducible to the bit, consistent, with the properties and the edge it claims."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from atb.data import list_series, load_bars, load_instrument, sample_bars, write_sample
from atb.data.catalogue.checks import check_bars
from atb.errors import DataError
from tests.data.markets import part

BTC, ETH = sample_bars()


def returns(bars):
    return np.log(bars.frame["close"]).diff().dropna()


def traces(frame, hours):
    """Return traces of the hidden factor that a model can compute: momentum, signed volume, wicks and place in the range."""
    body = np.log(frame["close"]).diff()
    span = frame["high"] - frame["low"]
    top, bottom = frame[["open", "close"]].max(axis=1), frame[["open", "close"]].min(axis=1)
    signed = np.sign(frame["close"] - frame["open"]) * frame["volume"]
    return {
        f"momentum_{hours}": (body / body.rolling(168).std()).rolling(hours).mean(),
        f"volume_{hours}": signed.rolling(hours).sum() / frame["volume"].rolling(hours).sum(),
        f"wicks_{hours}": ((bottom - frame["low"] - frame["high"] + top) / span).rolling(hours).mean(),
    }


@pytest.mark.parametrize("bars", [BTC, ETH], ids=str)
def test_three_years_of_hours_that_satisfy_every_rule(bars):
    assert check_bars(bars) == ()
    assert len(bars) == 26_304
    assert (str(bars.frame.index[0]), str(bars.frame.index[-1])) == (
        "2022-01-01 00:00:00+00:00",
        "2024-12-31 23:00:00+00:00",
    )
    assert bars.label == f"{bars.symbol} 1h · SYNTHETIC data"
    prices = bars.frame[["open", "high", "low", "close"]].to_numpy()
    np.testing.assert_array_equal(prices, np.round(prices, 2))


def test_equal_seeds_give_equal_bytes_and_other_seeds_others():
    assert [bars.fingerprint for bars in sample_bars(7)] == [BTC.fingerprint, ETH.fingerprint]
    assert sample_bars(8)[0].fingerprint != BTC.fingerprint


def test_another_process_makes_the_same_bytes():
    code = "from atb.data.providers.sample import sample_bars; print(*[bars.fingerprint for bars in sample_bars(7)])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.split() == [BTC.fingerprint, ETH.fingerprint]


@pytest.mark.parametrize("bars", [BTC, ETH], ids=str)
def test_volatility_clusters_tails_are_fat_and_volume_follows_moves(bars):
    moves = returns(bars)
    assert moves.abs().autocorr(1) > 0.1
    assert moves.abs().autocorr(24) > 0.05
    assert abs(moves.autocorr(1)) < 0.03
    assert moves.kurt() > 4
    assert 0.003 < moves.std() < 0.01
    assert moves.abs().corr(np.log(bars.frame["volume"]).iloc[1:]) > 0.4


def test_volatility_follows_the_hour_of_the_day():
    by_hour = returns(BTC).groupby(lambda opened: opened.hour).std()
    assert by_hour.max() / by_hour.min() > 1.3


def test_the_two_symbols_move_together_but_are_not_the_same():
    assert 0.6 < returns(BTC).corr(returns(ETH)) < 0.9


@pytest.mark.parametrize("bars", [BTC, ETH], ids=str)
@pytest.mark.parametrize("year", [2022, 2023, 2024])
def test_the_traces_of_the_edge_are_weak_and_there_in_every_year(bars, year):
    frame = part(bars, f"{year}-01-01", f"{year + 1}-01-01").frame
    ahead = np.log(frame["close"].shift(-12) / frame["close"])
    seen = pd.DataFrame(traces(frame, 24))
    z = ((seen - seen.mean()) / seen.std()).mean(axis=1)
    assert 0.03 < z.corr(ahead) < 0.20


def test_a_simple_model_learns_the_edge_out_of_sample():
    linear = pytest.importorskip("sklearn.linear_model")
    metrics = pytest.importorskip("sklearn.metrics")
    frame = BTC.frame
    seen = pd.DataFrame({name: column for hours in (6, 12, 24, 48) for name, column in traces(frame, hours).items()})
    seen = (seen - seen[:"2023"].mean()) / seen[:"2023"].std()
    ahead = np.log(frame["close"].shift(-12) / frame["close"])
    known = seen.notna().all(axis=1) & ahead.notna()
    train, test = known & (frame.index < "2023-12-31"), known & (frame.index >= "2024-01-01")
    model = linear.LogisticRegression(C=0.1).fit(seen[train], ahead[train] > 0)
    chance = model.predict_proba(seen[test])[:, 1]
    assert 0.53 < metrics.roc_auc_score(ahead[test] > 0, chance) < 0.60


def test_the_stored_sample_says_that_it_is_synthetic_and_of_which_seed(tmp_path):
    write_sample(root=tmp_path)
    loaded = load_bars("BTC/USDT", "1h", root=tmp_path)
    assert (loaded.fingerprint, loaded.synthetic) == (BTC.fingerprint, True)
    btc, eth = list_series(tmp_path)
    assert (btc.seed, eth.seed, btc.bars) == (7, 7, 26_304)
    assert "SYNTHETIC" in btc.sources[0]
    assert str(load_instrument("BTC/USDT", root=tmp_path, venue="synthetic").tick) == "0.01"


def test_a_sample_of_another_seed_replaces_only_when_asked(tmp_path):
    write_sample(root=tmp_path)
    assert all(saved.unchanged == 26_304 for _, saved in write_sample(root=tmp_path))
    with pytest.raises(DataError, match="--replace"):
        write_sample(root=tmp_path, seed=8)
    write_sample(root=tmp_path, seed=8, replace=True)
    assert [info.seed for info in list_series(tmp_path)] == [8, 8]


def test_the_advice_for_a_damaged_year_of_the_sample_leads_out(tmp_path):
    write_sample(root=tmp_path, seed=3)
    whole = load_bars("BTC/USDT", "1h", root=tmp_path).fingerprint
    path = sorted(tmp_path.glob("synthetic/BTC-USDT/1h/*.parquet"))[1]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="Make the synthetic market again: `atb data sample`"):
        load_bars("BTC/USDT", "1h", root=tmp_path)
    write_sample(root=tmp_path, seed=3)
    assert load_bars("BTC/USDT", "1h", root=tmp_path).fingerprint == whole

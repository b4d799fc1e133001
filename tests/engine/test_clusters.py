"""Clusters: who moves together, through whom, since when, and that nothing of it was known before its midnight."""

import numpy as np
import pandas as pd
import pytest

from atb.engine.clusters import clusters
from atb.engine.kernel_input import prepare
from atb.engine.policy import AccountPolicy
from atb.engine.prepare import columns
from atb.engine.slot import Slot
from tests.bars import bars_of, frame_of
from tests.scenarios import Scripted

DAYS = 40
MONEY = AccountPolicy(max_cluster=0.5, cluster_threshold=0.7, cluster_days=10)


def daily(returns, symbol="BTC/USDT", start="2024-01-01", freq="1D", timeframe="1d"):
    """Return a slot whose closes follow these log returns."""
    close = 100.0 * np.exp(np.cumsum(returns))
    return Slot(Scripted(), bars_of(frame_of(close, start=start, freq=freq), symbol, timeframe))


def noise(seed, n=DAYS):
    return np.random.default_rng(seed).normal(0, 0.02, n)


def numbers(*slots, money=MONEY):
    return [column.tolist() for column in clusters([columns(slot).market for slot in slots], slots, money)]


def test_slots_that_move_together_are_one_cluster_named_after_the_first():
    shared, own = noise(1), noise(2)
    btc, eth = daily(shared), daily(shared + 0.1 * own, "ETH/USDT")
    sol = daily(noise(3), "SOL/USDT")
    found = numbers(sol, btc, eth)
    assert [column[-1] for column in found] == [1.0, 2.0, 2.0]


def test_a_correlation_counts_from_the_threshold_on():
    shared = noise(1)
    pair = daily(shared), daily(0.7 * shared + 0.7 * noise(2), "ETH/USDT")
    window = np.array([np.diff(np.log(columns(slot).market["close"]))[-10:] for slot in pair])
    exact = float(np.corrcoef(window)[0, 1])
    assert 0.3 < exact < 0.95
    for threshold, together in ((exact - 1e-6, True), (exact + 1e-6, False)):
        money = AccountPolicy(max_cluster=0.5, cluster_threshold=threshold, cluster_days=10)
        first, second = (column[-1] for column in numbers(*pair, money=money))
        assert (first == second) is together


def test_links_join_through_others():
    """The first and the last do not correlate enough with each other; the one in the middle does with both."""
    one, other = noise(1), noise(2)
    slots = (daily(one), daily(other, "ETH/USDT"), daily(one + other, "SOL/USDT"))
    money = AccountPolicy(max_cluster=0.5, cluster_threshold=0.5, cluster_days=30)
    window = np.array([np.diff(np.log(columns(slot).market["close"]))[-30:] for slot in slots])
    table = np.corrcoef(window)
    assert table[0, 1] < 0.5 < min(table[0, 2], table[1, 2])
    assert [column[-1] for column in numbers(*slots, money=money)] == [1.0, 1.0, 1.0]
    apart = AccountPolicy(max_cluster=0.5, cluster_threshold=0.999, cluster_days=30)
    assert [column[-1] for column in numbers(*slots, money=apart)] == [1.0, 2.0, 3.0]


def test_opposite_moves_are_no_cluster():
    found = numbers(daily(noise(1)), daily(-noise(1), "ETH/USDT"))
    assert [column[-1] for column in found] == [1.0, 2.0]


def test_two_slots_on_one_symbol_are_one_cluster_from_the_first_bar():
    found = numbers(daily(noise(1)), daily(noise(2)))
    assert found == [[1.0] * DAYS, [1.0] * DAYS]


def test_too_few_common_days_are_no_correlation():
    shared = noise(1)
    found = numbers(daily(shared), daily(shared, "ETH/USDT"))
    # closes at midnight: the first return is known at the second; ten of them at the eleventh
    assert found[1] == [2.0] * 10 + [1.0] * (DAYS - 10)
    late = daily(shared[20:], "ETH/USDT", start="2024-01-21")
    assert numbers(daily(shared), late)[1] == [2.0] * 10 + [1.0] * (DAYS - 30)


def test_a_market_that_stands_still_correlates_with_nothing():
    found = numbers(daily(np.zeros(DAYS)), daily(np.zeros(DAYS), "ETH/USDT"))
    assert [column[-1] for column in found] == [1.0, 2.0]


def test_hours_are_compared_at_midnights_and_with_other_timeframes():
    shared = noise(1, DAYS)
    hourly = np.zeros(DAYS * 24)
    hourly[23::24] = shared  # all of a day's move in its last hour
    hourly += np.random.default_rng(9).normal(0, 1e-5, len(hourly))
    found = numbers(daily(shared), daily(hourly, "ETH/USDT", freq="1h", timeframe="1h"))
    assert found[1][-1] == found[0][-1] == 1.0
    assert found[1][:24] == [2.0] * 24


@pytest.mark.parametrize("day", [15, 25])
def test_what_is_used_on_a_day_was_known_at_its_midnight(day):
    shared = noise(1)
    changed = shared.copy()
    changed[day:] = -3 * shared[::-1][day:]
    before = numbers(daily(shared), daily(shared, "ETH/USDT"))
    after = numbers(daily(shared), daily(changed, "ETH/USDT"))
    assert before[1][:day] == after[1][:day]
    assert before[1] != after[1]


def test_an_old_correlation_is_forgotten():
    shared, own = noise(1), noise(2)
    parted = np.concatenate([shared[:20], own[20:]])
    second = numbers(daily(shared), daily(parted, "ETH/USDT"))[1]
    assert second[15] == 1.0
    assert second[-1] == 2.0


def test_clusters_are_prepared_only_where_they_are_limited():
    slots = (daily(noise(1)), daily(noise(2), "ETH/USDT"))
    assert set(prepare(slots, AccountPolicy()).signals["cluster"].tolist()) == {1.0}
    assert set(prepare(slots, MONEY).signals["cluster"].tolist()) == {1.0, 2.0}


def test_clusters_know_the_days_before_the_first_traded_bar():
    shared = noise(1)
    slots = (daily(shared), daily(shared, "ETH/USDT"))
    traded = prepare(slots, MONEY, pd.Timestamp("2024-01-21", tz="UTC"))
    assert traded.signals["cluster"].tolist() == [1.0] * 40

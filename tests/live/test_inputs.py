"""Strategies with inputs through the real runner over stored bars: what was handed in, and decided, is the backtest's."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from atb.backtest import run as backtest
from atb.data.catalogue import load_bars
from atb.data.catalogue.events import funding_at, save_events, sentiment_at
from atb.data.catalogue.inputs import load_inputs
from atb.data.catalogue.writing import save_bars
from atb.db import open_database
from atb.domain import Symbol
from atb.domain.input_series import InputSeries
from atb.engine.policy import RiskPolicy
from atb.engine.prepare import columns
from atb.engine.slot import Slot, slot_inputs
from atb.errors import DataError, PromotionError
from atb.live.journal.handed_inputs import handed_inputs
from atb.live.journal.replay import columns_as_decided
from atb.live.journal.session_rows import read_session
from atb.live.plan import make_plan
from atb.promotion.manifest import load_manifest
from atb.strategies import make_strategy
from tests.bars import bars_of, random_walk
from tests.input_strategies import (
    READER,
    Fearful,
    OtherSymbol,
    SlowTrend,
    funding_frame,
    mood_frame,
    resampled,
    rows_of,
)
from tests.instruments import usual
from tests.live.desk import BUSY, first_open, read_journal
from tests.live.exchange_harness import venue
from tests.live.test_runner import assert_equal_to_backtest
from tests.strategies.own_files import write_strategy

LATER = pd.Timestamp("2026-01-01", tz="UTC")
START = pd.Timestamp("2024-01-12", tz="UTC")
ALL = "slow+other+funding+mood"


def stock(root, bars: int = 420):
    """Put bars of two symbols, slower ones, funding and sentiment into the catalogue."""
    for symbol, seed in (("BTC/USDT", 3), ("ETH/USDT", 9)):
        market = bars_of(random_walk(bars, seed), symbol, venue="binance")
        save_bars(market, root=root, source="a seeded walk")
        save_bars(resampled(market, "4h"), root=root, source="a seeded walk")
    index = market.frame.index
    perpetual = funding_at(root, symbol=Symbol.parse("BTC/USDT:USDT"), venue="binanceusdm")
    save_events(perpetual, funding_frame(index), source="a test", fetched=LATER)
    mood = mood_frame(index)[["value", "published"]]
    save_events(sentiment_at(root, "fear_greed"), mood, source="a test", fetched=LATER)


def result_of(root, reads: str, *, policy: RiskPolicy = BUSY, start: pd.Timestamp = START):
    strategy = make_strategy("reader", reads=reads)
    bars = load_bars("BTC/USDT", "1h", start, root=root, lead=strategy.warmup)
    inputs = load_inputs(slot_inputs(strategy, bars.symbol, bars.timeframe), bars, root=root)
    return backtest(Slot(strategy, bars, policy, instrument=usual(bars.symbol), inputs=inputs), start=start)


@pytest.fixture
def stocked(sqlite_desk):
    write_strategy("reader", READER)
    stock(sqlite_desk.bars_root)
    return sqlite_desk


@pytest.mark.parametrize(
    "reads", [ALL, *(pytest.param(one, marks=pytest.mark.slow) for one in ("slow", "other", "funding", "mood"))]
)
def test_a_session_with_inputs_equals_its_backtest_bit_by_bit(stocked, reads):
    result = result_of(stocked.bars_root, reads)
    stocked.trade(stocked.promote(result), since=first_open(result))
    assert len(result.trades) > 3
    assert_equal_to_backtest(read_journal(stocked.url), result)


def test_a_session_that_is_stopped_and_started_again_is_handed_the_same(stocked):
    result = result_of(stocked.bars_root, ALL)
    path = stocked.promote(result)
    for cut in (1, 6, 30, 31, 77, None):
        until = None if cut is None else result.index[cut].isoformat()
        stocked.trade(path, since=first_open(result) if cut == 1 else None, until=until)
    assert_equal_to_backtest(read_journal(stocked.url), result)


def test_a_session_without_a_start_begins_when_every_input_has_its_warm_up(stocked):
    path = stocked.promote(result_of(stocked.bars_root, ALL))
    summary = stocked.trade(path)
    first = pd.Timestamp(min(row["bar_ms"] for row in read_journal(stocked.url)["decision"]), unit="ms", tz="UTC")
    assert first == pd.Timestamp("2024-01-02", tz="UTC")
    result = result_of(stocked.bars_root, ALL, start=first)
    assert (summary.bars, summary.equity) == (len(result.index), result.equity.iloc[-1])


@pytest.mark.slow
def test_real_bars_funding_and_sentiment_through_the_runner_equal_their_backtest(sqlite_desk, real_data):
    write_strategy("reader", READER)
    root, known = sqlite_desk.bars_root, pd.Timestamp("2024-12-31", tz="UTC")
    for symbol, timeframe in (("BTC", "1h"), ("ETH", "1h"), ("BTC", "4h")):
        frame = pd.read_parquet(real_data / f"binance_{symbol}USDT_{timeframe}.parquet").set_index("timestamp")
        frame = frame[(frame.index >= "2023-04-01") & (frame.index < "2023-06-10")].astype("float64")
        bars = bars_of(frame[["open", "high", "low", "close", "volume"]], f"{symbol}/USDT", timeframe, venue="binance")
        save_bars(bars, root=root, source="real bars")
    paid = pd.read_parquet(real_data / "binanceusdm_BTCUSDT_funding_8h.parquet").set_index("timestamp")
    perpetual = funding_at(root, symbol=Symbol.parse("BTC/USDT:USDT"), venue="binanceusdm")
    save_events(perpetual, paid, source="real payments", fetched=known)
    mood = pd.read_parquet(real_data / "alternativeme_FNG_1d.parquet").set_index("timestamp")[["value"]]
    save_events(sentiment_at(root, "fear_greed"), mood.astype("float64"), source="the real index", fetched=known)
    result = result_of(root, ALL, start=pd.Timestamp("2023-05-25", tz="UTC"))
    sqlite_desk.trade(sqlite_desk.promote(result), since=first_open(result))
    assert len(result.index) == 16 * 24
    assert len(result.trades) > 3
    assert_equal_to_backtest(read_journal(sqlite_desk.url), result)


@pytest.fixture
def traded(stocked):
    """A session of every input, its portfolio's slot, and its decisions."""
    result = result_of(stocked.bars_root, ALL)
    path = stocked.promote(result)
    stocked.trade(path, since=first_open(result), until=result.index[60].isoformat())
    return stocked, result, path


def decisions_of(desk):
    database = open_database(desk.url)
    try:
        return {row["bar_ms"]: row for row in read_session(database).decisions}
    finally:
        database.close()


def test_the_journal_alone_tells_what_every_decision_was_handed(traded):
    desk, result, _ = traded
    decided, slot = decisions_of(desk), result.inputs.slots[0]
    handed = handed_inputs(slot.declared, decided.values())
    closes = np.array([row["bar"]["closed"] for row in decided.values()])
    for name, rows in slot.handed.items():
        wanted = rows.known(closes)
        assert handed[name].known(closes).frame.equals(wanted.frame), name
    again = columns_as_decided(
        replace(slot, inputs={name: rows.part(0, 0) for name, rows in slot.handed.items()}), decided
    )
    first = slot.bars.opened_ms.searchsorted(min(decided))
    rows = slice(first, first + len(decided))
    assert again.signals["side"][rows].tobytes() == columns(slot).signals["side"][rows].tobytes()


def test_a_decision_that_was_made_without_a_late_row_is_replayed_without_it(traded):
    desk, result, _ = traded
    decided, slot = decisions_of(desk), result.inputs.slots[0]
    at = next(
        one for one, row in decided.items() if row["bar"]["closed"] % (4 * 3_600_000) == 0 and row["side"] is not None
    )
    record = decided[at]["inputs"]
    newest = record["slow"]["rows"][-1][0]
    decided[at]["inputs"] = record | {"slow": record["slow"] | {"newest_ms": newest - 4 * 3_600_000}}
    again = columns_as_decided(slot, decided).signals["side"]
    row = int(slot.bars.opened_ms.searchsorted(at))
    usual_sides = columns(slot).signals["side"]
    assert np.isnan(again[row])  # the bar before it is not taken for it
    others = [int(slot.bars.opened_ms.searchsorted(one)) for one in decided if one != at]
    assert again[others].tobytes() == usual_sides[others].tobytes()


def test_a_session_refuses_to_start_without_an_input(traded):
    desk, _, path = traded
    (desk.bars_root / "_sentiment/fear_greed/events.parquet").unlink()
    with pytest.raises(DataError, match="No sentiment of fear_greed"):
        desk.trade(path)


def test_a_manifest_that_pins_other_inputs_than_its_strategy_reads_is_refused(traded):
    desk, _, path = traded
    manifest = load_manifest(path)
    assert [one.get("input") for one in manifest.data] == [None, "slow", "other", "funding", "mood"]
    with pytest.raises(PromotionError, match="reads"):
        make_plan(replace(manifest, data=manifest.data[:-1]), desk.models_root)


class Mood:
    """A recorded source of sentiment."""

    def __init__(self, index: pd.DatetimeIndex) -> None:
        self.frame = mood_frame(index)

    async def rows(self, declared):
        return InputSeries.of_events(declared, self.frame, venue="test")


@pytest.mark.slow
def test_at_an_exchange_every_order_is_the_backtests(tmp_path):
    """Another symbol, slower bars and sentiment, each in a slot, stopped and started again."""
    btc, eth = (bars_of(random_walk(322, seed), symbol) for symbol, seed in (("BTC/USDT", 3), ("ETH/USDT", 9)))
    policy = RiskPolicy(fraction=0.3, stop_loss=0.03)
    slots = [
        (OtherSymbol(), btc, policy),
        (SlowTrend(), eth, policy),
        (Fearful(), btc, replace(policy, stop_loss=0.05)),
    ]
    with venue(tmp_path, slots, first=270, count=48, candles=(resampled(eth, "4h"),)) as v:
        v.inputs = {number: rows_of(strategy, bars, eth) for number, (strategy, bars, _) in enumerate(slots)}
        options = {"events": Mood(btc.frame.index)}
        assert v.trade(bars=20, **options).status == "finished"
        assert v.trade(**options).status == "finished"
        assert v.unlike() == []
        result = v.backtest()
        assert {order["slot"] for order in result.outcome.orders} == {0, 1, 2}
        assert not v.events("input_late")

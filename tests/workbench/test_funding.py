"""Funding of a perpetual: a backtest pays what is stored, at each payment, and says what is missing."""

import numpy as np
import pandas as pd
import pytest

from atb.backtest import run
from atb.config import load_settings
from atb.data import save_bars
from atb.data.catalogue.events import funding_at, save_events
from atb.engine.policy import ExecutionModel, RiskPolicy
from atb.experiments.findings import findings
from atb.strategies import make_strategy
from atb.workbench import Period, prepare_slot
from tests.bars import bars_of, random_walk

BARS = bars_of(random_walk(24 * 40, 2, sigma=0.002), symbol="BTC/USDT:USDT", venue="binanceusdm")
FREE = ExecutionModel(fee=0.0, slippage=0.0)


def pay(rates, *, hours=8):
    index = pd.date_range(BARS.frame.index[0], periods=len(rates), freq=f"{hours}h").as_unit("ms")
    series = funding_at(load_settings().bars_root, symbol=BARS.symbol, venue="binanceusdm")
    frame = pd.DataFrame({"funding_rate": rates}, index=index)
    save_events(series, frame, source="a test", fetched=pd.Timestamp("2024-12-01", tz="UTC"))


def backtest():
    slot, first = prepare_slot(
        make_strategy("sma_cross", fast=2, slow=5), "BTC/USDT:USDT", "1h", period=Period(days=30),
        policy=RiskPolicy(fraction=0.9), execution=FREE,
    )  # fmt: skip
    return run(slot, start=first)


@pytest.fixture(autouse=True)
def stored():
    save_bars(BARS, root=load_settings().bars_root, source="x")


def said(result):
    return [text for text in findings(result) if "unding" in text]


def test_stored_funding_is_paid_and_received_at_each_payment():
    before = backtest()
    assert said(before) == [
        "No funding of BTC/USDT:USDT at binanceusdm is stored: its cost is not in the figures (atb data funding)"
    ]
    pay(np.full(3 * 40, 0.001))
    after = backtest()
    assert said(after) == []
    assert after.stats["total_return_pct"] < before.stats["total_return_pct"] - 0.5
    assert after.slots[0].funding.index[0] > after.slots[0].bars.frame.index[0]


def test_a_payment_outside_the_bars_costs_nothing_and_missing_days_are_said():
    pay(np.zeros(3 * 20))
    assert said(backtest()) == [
        "Funding of BTC/USDT:USDT at binanceusdm is missing for 20.3 days: its cost then is not in the figures"
    ]


def test_funding_of_payments_before_the_first_bar_is_not_paid():
    from dataclasses import replace

    from atb.engine.prepare import columns

    slot, _ = prepare_slot(make_strategy("sma_cross"), "BTC/USDT:USDT", "1h", period=Period(days=30), execution=FREE)
    first = slot.bars.frame.index[0]
    rates = pd.Series([0.5, 0.25, 0.125], index=[first - pd.Timedelta(9, "D"), first, first + pd.Timedelta(1, "h")])
    assert columns(replace(slot, funding=rates)).bar_columns.funding.sum() == 0.125

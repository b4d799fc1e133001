"""`atb trials`: each market's trials beside what luck alone would reach; a sweep says the same of its own bars."""

import json

import pytest
from click.testing import CliRunner

from atb.backtest import run, sweep
from atb.cli import main
from atb.engine.policy import RiskPolicy, grid
from atb.engine.slot import Slot
from atb.strategies import make_strategy
from atb.trials.seen import seen_by_market
from tests.bars import bars_of, random_walk


def atb(*arguments):
    done = CliRunner().invoke(main, list(arguments))
    assert done.exit_code == 0, done.output
    return done


def slot(symbol: str = "BTC/USDT") -> Slot:
    return Slot(
        make_strategy("sma_cross", fast=3, slow=9), bars_of(random_walk(600, 1), symbol), RiskPolicy(stop_loss=0.02)
    )


def test_nothing_tried_yet_is_a_sentence():
    assert atb("trials").stdout == "Nothing was tried yet.\n"
    assert json.loads(atb("trials", "--json").stdout) == {"markets": [], "faults": []}


def test_each_market_has_its_row_the_most_tried_first():
    sweep(slot(), policies=grid(stop_loss=[0.01, 0.02, 0.03]))
    run(slot("ETH/USDT"))
    (first, span), (second, _) = seen_by_market()
    heading, *rows = atb("trials").stdout.splitlines()
    assert heading.split()[:4] == ["market", "from", "to", "trials"]
    assert rows[0].split()[:6] == [
        "BTC/USDT",
        "1h",
        f"{span[0]:%Y-%m-%d}",
        f"{span[1]:%Y-%m-%d}",
        "3",
        str(first.independent),
    ]
    assert rows[1].split()[:2] == ["ETH/USDT", "1h"]
    (found,) = json.loads(atb("trials", "-s", "BTCUSDT", "--json").stdout)["markets"]
    assert (found["trials"], found["lucky_sharpe"]) == (3, pytest.approx(first.lucky))
    assert second.lucky == 0.0

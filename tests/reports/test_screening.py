"""Figures of screens: every combination is drawn on its side of the diagonal, and a trade with both its endings."""

import numpy as np
import pandas as pd
import pytest

from atb.backtest import Screen, screen
from atb.domain import Bars
from atb.engine.policy import RiskPolicy
from atb.errors import InputError
from atb.reports.screening import CANDLES, agreement_figure, difference_figure, rank_correlation
from atb.strategies import grid
from tests.bars import bars_of, random_walk


@pytest.fixture(scope="module")
def bars() -> Bars:
    return bars_of(random_walk(500, 4), venue="synthetic")


@pytest.fixture(scope="module")
def screened(bars) -> Screen:
    return screen(grid("sma_cross", fast=[5, 10], slow=[20, 30]), bars, policy=RiskPolicy(stop_loss=0.02))


def trade(bars: Bars, **changes: object) -> pd.Series:
    """Return a long trade that the kernel left in its entry bar, the screen five bars later."""
    at = bars.frame.index
    values = {
        "entry_bar": at[100], "side": "long", "entry_price": 100.0, "entry_price_screen": 100.0,
        "exit_bar": at[100], "exit_price": 98.0, "exit_bar_screen": at[105], "exit_price_screen": 103.0,
        "exit_reason": "stop_loss", "difference": "the kernel's stop_loss was touched in the entry bar",
    }  # fmt: skip
    return pd.Series({**values, **changes}, dtype=object)


def test_each_combination_is_a_point_on_its_side_of_the_diagonal(screened):
    seen = screened.ranking["total_return_pct"]
    kernel = seen + np.array([1.0, -1.0, 0.0, -2.0])
    diagonal, more, less = agreement_figure(screened, kernel.sort_index()).data
    assert list(diagonal.x) == list(diagonal.y)
    assert more.name == "the screen says more (2)"
    assert (np.array(more.x) > np.array(more.y)).all()
    assert len(less.x) == 2
    assert set(more.text) | set(less.text) == set(seen.index)


def test_the_caption_repeats_what_a_screen_is_and_the_title_names_the_data(screened):
    figure = agreement_figure(screened, screened.ranking["total_return_pct"])
    assert "A screen ranks; it is never evidence." in figure.layout.annotations[0].text.replace("<br>", " ")
    assert "SYNTHETIC data" in figure.layout.title.text


def test_columns_of_several_levels_are_named(bars):
    columns = pd.MultiIndex.from_tuples([(5, 10), (5, 20)], names=["fast", "slow"])
    sides = pd.DataFrame(np.tile([[1.0, 0.0], [0.0, 1.0]], (250, 1)), bars.frame.index, columns)
    screened = screen(sides, bars)
    figure = agreement_figure(screened, screened.ranking["total_return_pct"])
    assert sorted(figure.data[2].text) == ["fast=5, slow=10", "fast=5, slow=20"]


@pytest.mark.parametrize(
    "change", [lambda kernel: kernel.iloc[1:], lambda kernel: kernel.rename({kernel.index[0]: "x"})]
)
def test_returns_of_other_columns_are_refused(screened, change):
    with pytest.raises(InputError, match="One return of the kernel is needed for each column"):
        agreement_figure(screened, change(screened.ranking["total_return_pct"]))


def test_ranks_are_compared_and_not_returns(screened):
    seen = screened.ranking["total_return_pct"]
    assert rank_correlation(screened, seen**3) == pytest.approx(1.0)
    assert rank_correlation(screened, -seen.sort_index()) == pytest.approx(-1.0)


def test_a_trade_is_drawn_with_both_endings_among_its_bars(bars):
    candles, entry, kernel, other = difference_figure(bars, trade(bars)).data
    assert (entry.name, kernel.name, other.name) == ("entry of both", "kernel: stop_loss", "screen: exit")
    assert (kernel.y, other.y) == ((98.0,), (103.0,))
    assert len(candles.x) == 8 + 5 + 12
    assert kernel.x[0] == entry.x[0] < other.x[0]


def test_an_exit_that_never_came_is_not_drawn_and_a_long_trade_stays_legible(bars):
    never = difference_figure(bars, trade(bars, exit_bar_screen=pd.NaT, exit_price_screen=np.nan))
    late = difference_figure(bars, trade(bars, exit_bar_screen=bars.frame.index[450]))
    assert len(never.data) == 3
    assert len(late.data) == 4
    assert max(len(figure.data[0].x) for figure in (never, late)) <= CANDLES
    assert "candles of 2 1h bars" in late.layout.annotations[0].text.replace("<br>", " ")


def test_a_trade_that_only_one_of_them_entered_cannot_be_drawn(bars):
    with pytest.raises(InputError, match="Only one of kernel and screen"):
        difference_figure(bars, trade(bars, entry_price=np.nan))

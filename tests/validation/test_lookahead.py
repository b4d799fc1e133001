"""The look-ahead check passes causal strategies and catches those that read one bar too many."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from atb.domain import Signals
from atb.engine.prepare import Slot
from atb.errors import InputError
from atb.strategies import make_strategy
from atb.validation.lookahead import check_lookahead
from tests.bars import bars_of, random_walk


@dataclass(frozen=True)
class Peeks:
    """Long when the next close is higher: what the check must catch."""

    name: ClassVar[str] = "peeks"
    predicts: ClassVar[bool] = False
    warmup: ClassVar[int] = 1

    def features(self, bars):
        return bars[["close"]].shift(-1).rename(columns={"close": "next"})

    def signals(self, frame):
        return Signals((frame["next"] > frame["close"]).to_numpy().astype(float))


@dataclass(frozen=True)
class NormalisesOnEverything:
    """Scales by the whole history's mean: a leak that a shift test would not see."""

    name: ClassVar[str] = "normalises"
    predicts: ClassVar[bool] = False
    warmup: ClassVar[int] = 1

    def features(self, bars):
        return bars[[]]

    def signals(self, frame):
        above = frame["close"] > frame["close"].mean()
        return Signals(
            above.to_numpy().astype(float), confidence=np.clip(frame["close"] / frame["close"].max(), 0, 1).to_numpy()
        )


def test_a_causal_strategy_is_clean():
    report = check_lookahead(Slot(make_strategy("sma_cross", fast=5, slow=20), bars_of(random_walk(300))))
    assert report.clean
    assert "No look-ahead" in str(report)


@pytest.mark.parametrize("cheat", [Peeks(), NormalisesOnEverything()])
def test_a_strategy_that_knows_the_future_is_caught_at_its_first_row(cheat):
    report = check_lookahead(Slot(cheat, bars_of(random_walk(300))))
    assert not report.clean
    assert report.first_difference["column"] in {"side", "confidence"}
    assert "LOOK-AHEAD" in str(report)
    assert report.to_json()["first_difference"]["bar"].startswith("2024-01")


def test_a_single_bar_cannot_be_checked():
    with pytest.raises(InputError, match="Too few bars"):
        check_lookahead(Slot(make_strategy("sma_cross"), bars_of(random_walk(1))))

"""The warm-up check passes honest declarations and catches those that are too short."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from atb.domain import Signals
from atb.engine.prepare import Slot
from atb.errors import InputError
from atb.strategies import make_strategy
from atb.validation.warmup import check_warmup
from tests.bars import bars_of, random_walk


@dataclass(frozen=True)
class Boasts:
    """Needs a hundred bars and says it needs ten."""

    name: ClassVar[str] = "boasts"
    predicts: ClassVar[bool] = False
    warmup: ClassVar[int] = 10

    def features(self, bars):
        return bars[["close"]].rolling(100).mean().rename(columns={"close": "mean"})

    def signals(self, frame):
        return Signals((frame["close"] > frame["mean"]).to_numpy().astype(float))


def test_a_sufficient_warm_up_flips_nothing():
    report = check_warmup(Slot(make_strategy("sma_cross", fast=5, slow=20), bars_of(random_walk(300))))
    assert report.sufficient
    assert report.flipped == 0


def test_a_warm_up_that_is_too_short_is_caught():
    report = check_warmup(Slot(Boasts(), bars_of(random_walk(400))), samples=60)
    assert not report.sufficient
    assert report.flipped > 0
    assert "TOO SHORT" in str(report)


def test_a_history_shorter_than_the_warm_up_cannot_be_checked():
    with pytest.raises(InputError, match="longer than the warm-up"):
        check_warmup(Slot(make_strategy("sma_cross"), bars_of(random_walk(30))))

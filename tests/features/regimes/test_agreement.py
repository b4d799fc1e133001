"""Agreement of timeframes: votes by weight, slower bars from their close on, nothing where a vote is missing."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from atb.domain import Bars, Signals
from atb.domain.input_series import InputSeries
from atb.domain.inputs import Known
from atb.engine.kernel_input import prepare
from atb.engine.policy import AccountPolicy
from atb.engine.slot import Slot
from atb.errors import InputError
from atb.features.regimes import TimeframeAgreement, TrendVolatility
from atb.validation.windows import check_windows
from tests.bars import bars_of, frame_of, random_walk
from tests.input_strategies import resampled

OWN = TrendVolatility(slope_window=10, rank_window=20, dwell=3, memory=20)
VOTE = TimeframeAgreement(OWN)
N = 2_600  # hours: the trend of days needs 75 of them


def inputs_of(vote: TimeframeAgreement, bars: Bars) -> dict[str, InputSeries]:
    return {
        name: InputSeries.of_bars(one.resolved(bars.symbol, bars.timeframe), resampled(bars, str(one.timeframe)))
        for name, one in vote.inputs.items()
    }


def computed(vote: TimeframeAgreement, bars: Bars) -> pd.DataFrame:
    known = {name: series.known(bars.closed_ms) for name, series in inputs_of(vote, bars).items()}
    return vote.compute(bars.frame, known)


@dataclass(frozen=True)
class Agreed:
    """Long where the timeframes agree on a rise, flat elsewhere."""

    name: ClassVar[str] = "agreed"
    predicts: ClassVar[bool] = False
    warmup: ClassVar[int] = VOTE.warmup
    inputs: ClassVar = VOTE.inputs

    def features(self, bars: pd.DataFrame, inputs: Mapping[str, Known]) -> pd.DataFrame:
        return VOTE.compute(bars, inputs)

    def signals(self, frame: pd.DataFrame) -> Signals:
        regime = frame["regime"].to_numpy()
        return Signals(
            np.where(np.isnan(regime), np.nan, regime == 2), confidence=np.abs(frame["agreement"].to_numpy())
        )


def steep(slope: float, n: int = N) -> Bars:
    return bars_of(frame_of(100 * np.exp(slope * np.arange(n) + 0.001 * np.sin(np.arange(n)))))


@pytest.mark.parametrize(("slope", "label"), [(0.004, "up"), (-0.004, "down"), (0.0, "mixed")])
def test_timeframes_that_go_one_way_agree(slope, label):
    regime = computed(VOTE, steep(slope))["regime"].dropna()
    assert (regime == VOTE.labels.index(label)).all()
    assert len(regime) > 500


def test_each_bar_is_the_weighted_vote_of_the_trends():
    found = computed(VOTE, bars_of(random_walk(9_000, 3, sigma=0.006))).dropna()
    trends = found[["trend_own", "trend_4h", "trend_1d"]].to_numpy()
    weights = np.array([1.0, 1.5, 2.0])
    up, down = ((trends == way) @ weights / weights.sum() for way in (1, -1))
    wanted = np.select([up >= 0.6, down >= 0.6], [2.0, 0.0], 1.0)
    assert found["regime"].tolist() == wanted.tolist()
    assert found["agreement"].to_numpy() == pytest.approx(trends @ weights / weights.sum())
    assert found["regime"].nunique() == 3


def test_a_slower_trend_counts_from_the_close_of_its_bar():
    bars = bars_of(random_walk(N, 4, sigma=0.006))
    slow = resampled(bars, "4h")
    own = TrendVolatility.of_timeframe("4h").trends(slow.frame)
    trend = computed(VOTE, bars)["trend_4h"].to_numpy()
    for row in range(1_000, N, 17):
        closed = np.flatnonzero(slow.closed_ms <= bars.closed_ms[row])[-1]
        assert trend[row] == own[closed] or np.isnan(own[closed])


def test_a_missing_vote_leaves_no_regime():
    bars = bars_of(random_walk(N, 5, sigma=0.006))
    found = computed(VOTE, bars)
    missing = found[["trend_own", "trend_4h", "trend_1d"]].isna().any(axis=1)
    assert missing.any()
    assert (found["regime"].isna() == missing).all()


def test_no_label_is_repainted_at_any_cut():
    bars = bars_of(random_walk(N, 6, sigma=0.006))
    whole = computed(VOTE, bars)
    for cut in (1_700, 1_901, 2_002, 2_203, 2_599):
        assert computed(VOTE, bars.rows(0, cut)).to_numpy().tobytes() == whole.iloc[:cut].to_numpy().tobytes()


def test_a_runner_computes_the_same_with_the_declared_warm_ups():
    bars = bars_of(random_walk(N, 7, sigma=0.006))
    slot = Slot(Agreed(), bars, inputs=inputs_of(VOTE, bars))
    (one,) = check_windows(prepare((slot,), AccountPolicy(), bars.frame.index[1_900]), most=60)
    assert one.report.equal, str(one.report)


@pytest.mark.parametrize(
    ("change", "value"),
    [("own", dataclasses.replace(OWN, slope_window=20)), ("slower", (("4h", 9.0),)), ("share", 0.8)],
)
def test_every_parameter_matters(change, value):
    bars = bars_of(random_walk(N, 8, sigma=0.006))
    other = computed(dataclasses.replace(VOTE, **{change: value}), bars)["regime"]
    assert not other.equals(computed(VOTE, bars)["regime"])


def test_a_share_of_all_is_reached_where_all_agree_whatever_the_weights():
    """Added one by one these weights are a last bit below 1.8, which `sum` gives from Python 3.12 on."""
    found = computed(dataclasses.replace(VOTE, slower=(("4h", 0.2), ("1d", 0.6)), share=1.0), steep(0.002))
    assert (found["regime"].dropna() == 2).all()
    assert found["regime"].notna().any()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"share": 0.5}, "share"), ({"slower": ()}, "each once"), ({"slower": (("4h", 1.0), ("4h", 2.0))}, "each once"),
     ({"slower": (("4h", 0.0),)}, "weight"), ({"slower": (("4x", 1.0),)}, "timeframe")],
)  # fmt: skip
def test_votes_that_mean_nothing_are_refused(wrong, said):
    with pytest.raises(InputError, match=f"(?i){said}"):
        TimeframeAgreement(**wrong)


def test_an_input_that_is_not_handed_in_is_named():
    with pytest.raises(InputError, match="Declare the input bars_4h"):
        VOTE.compute(random_walk(100), {})


def test_slower_bars_are_declared_with_the_warm_up_of_their_trend():
    assert {name: (one.timeframe, one.warmup) for name, one in TimeframeAgreement().inputs.items()} == {
        "bars_4h": ("4h", 19 + 120), "bars_1d": ("1d", 14 + 60),
    }  # fmt: skip

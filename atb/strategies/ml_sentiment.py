"""Model follower with an eye on the mood: asks for better odds the greedier people are, and buys nothing in a frenzy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from atb.domain.inputs import Input, Known, SentimentInput
from atb.domain.signals import Signals
from atb.errors import InputError
from atb.strategies.components import odds_signals

if TYPE_CHECKING:
    import pandas as pd

_MIDDLE = 50.0  # of an index of 0 (fear) to 100 (greed)


@dataclass(frozen=True, slots=True)
class MlSentiment:
    """Thresholds on the predicted probability of a rise, the upper one moved by an index of fear and greed.

    The index counts from its publication and is missing once it is three days old. Without it nothing is bought; a position is left
    by the model alone.

    Parameters
    ----------
    enter, leave
        Probabilities from which to be long while the index stands at 50, and down to which to be flat.
    tilt
        By how much more is asked at 100, and less at 0.
    frenzy
        Index from which nothing is bought.
    """

    name: ClassVar[str] = "ml_sentiment"
    predicts: ClassVar[bool] = True
    question: ClassVar[str] = "Does the mood of the market say when to believe a model?"
    enter: float = 0.55
    leave: float = 0.50
    tilt: float = 0.04
    frenzy: float = 85.0

    def __post_init__(self) -> None:
        """Refuse thresholds that are no probabilities at some mood, or leave no room between them."""
        lowest, highest = self.enter - abs(self.tilt), self.enter + abs(self.tilt)
        if not 0 < self.leave < lowest <= highest < 1:
            raise InputError(
                "ml_sentiment needs 0 < leave < enter - tilt and enter + tilt < 1",
                found=f"enter={self.enter} leave={self.leave} tilt={self.tilt}",
            )
        if not 0 < self.frenzy <= 2 * _MIDDLE:
            raise InputError("frenzy lies in (0, 100]", found=self.frenzy)

    @property
    def inputs(self) -> Mapping[str, Input]:
        """The index of fear and greed, 0 to 100."""
        return {"mood": SentimentInput("fear_greed", max_age="3d")}

    @property
    def warmup(self) -> int:
        """0: the model's warm-up shows as missing predictions."""
        return 0

    def features(self, bars: "pd.DataFrame", inputs: Mapping[str, Known]) -> "pd.DataFrame":
        """Return the index as `mood`, NaN where none is known or it is too old."""
        import pandas as pd

        return pd.DataFrame({"mood": inputs["mood"].as_of("value")}, index=bars.index, copy=False)

    def signals(self, frame: "pd.DataFrame") -> Signals:
        """Return 1 and 0 by the thresholds of each bar, NaN (hold) between them or where there is no prediction."""
        mood = frame["mood"].to_numpy()
        enter = self.enter + self.tilt * (mood / _MIDDLE - 1)
        return odds_signals(frame, np.where(mood >= self.frenzy, np.nan, enter), self.leave)

"""Model follower: long while a model gives good odds of a rise, flat once the odds are gone."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from atb.domain.signals import Signals
from atb.strategies.components import odds_signals

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class MlBasic:
    """Two thresholds on the predicted probability of a rise; the room between them keeps it from trading on noise.

    Parameters
    ----------
    enter
        Probability at or above which to be long.
    leave
        Probability at or below which to be flat; between the two, what is held is held.
    """

    name: ClassVar[str] = "ml_basic"
    predicts: ClassVar[bool] = True
    question: ClassVar[str] = "Does a model's forecast pay its costs?"
    enter: float = 0.55
    leave: float = 0.50

    def __post_init__(self) -> None:
        """Refuse thresholds that are no probabilities or leave no room between them."""
        if not 0 < self.leave < self.enter < 1:
            raise ValueError(f"need 0 < leave < enter < 1, was enter={self.enter} leave={self.leave}")

    @property
    def warmup(self) -> int:
        """0: the model's warm-up shows as missing predictions."""
        return 0

    def features(self, bars: "pd.DataFrame") -> "pd.DataFrame":
        """Return no columns: everything it knows is the prediction."""
        import pandas as pd

        return pd.DataFrame(index=bars.index)  # quicker than `bars[[]]` by a tenth of what a runner computes at a close

    def signals(self, frame: "pd.DataFrame") -> Signals:
        """Return 1 from `enter` up, 0 from `leave` down and NaN (hold) between or where there is no prediction."""
        return odds_signals(frame, self.enter, self.leave)

"""A model of regimes that is refitted on a schedule: at each bar the newest fit whose bars had all closed before it opened.

So every regime is out of sample, and a later fit changes no earlier one. Hysteresis may be laid over the labels; it does not care
which fit a label came from, since states are in the same order in every fit.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from atb.errors import InputError
from atb.features.indicators import Array
from atb.features.regimes.hidden_markov import GaussianHmm
from atb.features.regimes.hysteresis import Hysteresis
from atb.features.regimes.jump import JumpModel

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

Model = GaussianHmm | JumpModel


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted model and the bars it was fitted on.

    Parameters
    ----------
    first_open_ms, known_ms
        Open of the first of these bars, and close of the last, from when on it counts; epoch milliseconds.
    bars, fingerprint
        Their number and content hash.
    """

    model: Model
    first_open_ms: int
    known_ms: int
    bars: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Refitted:
    """Fits in order of time, one method and one set of labels; also a `Predictor`, whose prediction is the regime.

    Raises
    ------
    InputError
        If there is no fit, or they are out of order or not of one kind.
    """

    fits: tuple[Fit, ...]
    hysteresis: Hysteresis | None = None

    def __post_init__(self) -> None:
        """Refuse fits that do not follow each other."""
        if not self.fits:
            raise InputError("A model of regimes needs a fit", todo="Fit it on more bars")
        if len({(type(fit.model), fit.model.labels, fit.model.warmup) for fit in self.fits}) > 1:
            raise InputError("The fits are not of one method with the same states and windows")
        known = [fit.known_ms for fit in self.fits]
        if any(fit.first_open_ms >= fit.known_ms for fit in self.fits) or known != sorted(set(known)):
            raise InputError("The fits are not in order of time", found=known)

    @property
    def name(self) -> str:
        """The method's name."""
        return self.fits[0].model.name

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the states."""
        return self.fits[0].model.labels

    @property
    def warmup(self) -> int:
        """Bars before the first regime, which is exact to the last bit."""
        return self.fits[0].model.warmup + (self.hysteresis.warmup if self.hysteresis else 0)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all numbers of all fits."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True, allow_nan=False).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {"method": self.name, **asdict(self)}

    def compute(self, bars: "pd.DataFrame") -> "pd.DataFrame":
        """Return the model's columns on the index of `bars`; NaN before the warm-up, and where no fit is known yet.

        With a hysteresis `regime` is what it makes of the model's labels, and `age` how many bars it has lasted, counted up to the
        dwell.

        Raises
        ------
        InputError
            As the model.
        """
        import pandas as pd

        names = self.fits[0].model.columns
        table = np.full((len(bars), len(names)), np.nan)
        for number, first, end in self._stretches(bars):
            model = self.fits[number].model
            begins = max(0, first - model.warmup)
            table[first:end] = model.compute(bars.iloc[begins:end]).to_numpy()[first - begins :]
        found = pd.DataFrame(table, bars.index, list(names), copy=False)
        if self.hysteresis is not None:
            found["regime"], found["age"] = self.hysteresis.settle(table[:, 0].copy(), len(self.labels))
            found.iloc[: self.warmup] = np.nan
        return found

    def predict(self, bars: "pd.DataFrame") -> Array:
        """Return the regime (index into `labels`) at each bar."""
        return np.asarray(self.compute(bars)["regime"], dtype=np.float64)

    def _stretches(self, bars: "pd.DataFrame") -> list[tuple[int, int, int]]:
        """Return fit, first row and end of each stretch of bars that one fit answers for."""
        index: Any = bars.index
        opened: NDArray[np.int64] = index.as_unit("ms").asi8
        edges = np.searchsorted(opened, [fit.known_ms for fit in self.fits]).tolist()
        ends = [*edges[1:], len(bars)]
        return [
            (number, first, end) for number, (first, end) in enumerate(zip(edges, ends, strict=True)) if first < end
        ]

"""Each stored model on the newest bar, and how it did on bars that it was not trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from atb.decimals import counted
from atb.domain.bars import SYNTHETIC
from atb.errors import AtbError

if TYPE_CHECKING:
    import pandas as pd

    from atb.config import Settings
    from atb.domain import Bars
    from atb.prediction.bundle import Bundle

COLUMNS = (
    "model",
    "symbol",
    "timeframe",
    "last bar",
    "says up (%)",
    "bars judged",
    "right (%)",
    "always up (%)",
    "AUC",
    "Brier",
)
LEAST = 30  # bars judged; fewer say nothing
BASE_BRIER = 0.25  # of a model that always says 50 %


@dataclass(frozen=True)
class Judged:
    """A model on the newest bars of its market.

    Parameters
    ----------
    title
        The model, as reports name it.
    bars
        The bars that it predicted.
    table
        Indexed by open: `probability` of a rise (0 to 1) as the model says it at that bar's close, `rose` (1, 0; NaN while the
        horizon is not over), `forward` (log return over the horizon), `close`. Only bars after those it was trained and chosen on.
    horizon
        Bars that it looks ahead.
    card
        What its bundle says about it.
    """

    title: str
    bars: "Bars"
    table: "pd.DataFrame"
    horizon: int
    card: "Mapping[str, Any]" = field(default_factory=dict)

    @property
    def known(self) -> "pd.DataFrame":
        """The rows whose outcome is known."""
        return self.table.dropna()

    @cached_property
    def scores(self) -> dict[str, float]:
        """AUC, accuracy, log loss and Brier score of the known rows; empty where they are too few, or all rose or fell."""
        from atb.prediction.evaluation import score

        known = self.known
        if len(known) < LEAST or known["rose"].nunique() < 2:
            return {}
        return score(known["probability"].to_numpy(), known["rose"].to_numpy())

    def row(self) -> dict[str, Any]:
        """Return the model as a row of `COLUMNS`."""
        newest, scores = self.table["probability"].dropna(), self.scores
        values = (
            self.title, str(self.bars.symbol), str(self.bars.timeframe), f"{self.table.index[-1]:%Y-%m-%d %H:%M}",
            100 * float(newest.iloc[-1]) if len(newest) else float("nan"), len(self.known),
            100 * scores.get("accuracy", float("nan")), 100 * float(self.known["rose"].mean()),
            scores.get("auc"), scores.get("brier"),
        )  # fmt: skip
        return dict(zip(COLUMNS, values, strict=True))


@dataclass(frozen=True)
class Predictions:
    """Every model that could be asked, and why the others could not."""

    judged: Sequence[Judged]
    left_out: dict[str, str]

    @cached_property
    def table(self) -> "pd.DataFrame":
        """One row per model."""
        import pandas as pd

        return pd.DataFrame([each.row() for each in self.judged], columns=list(COLUMNS)).set_index("model")

    @property
    def verdict(self) -> str:
        """How many models knew more than always saying 50 %."""
        scored = [each for each in self.judged if each.scores]
        better = sum(each.scores["brier"] < BASE_BRIER and each.scores["auc"] > 0.5 for each in scored)
        if not scored:
            return f"{counted(len(self.judged), 'model')}, none with {LEAST} judged bars: nothing can be said yet"
        return f"Of {counted(len(scored), 'model')} with {LEAST} judged bars or more {better} did better than always saying 50 %"


def judge_models(settings: "Settings", *, days: int, newest_only: bool = True) -> Predictions:
    """Ask every stored model about the newest bars of its market.

    Parameters
    ----------
    settings
        With the folders of models and bars.
    days
        Bars to judge it on, back from the newest, those that it was trained and chosen on left out.
    newest_only
        Whether older versions of a model are left out.
    """
    from atb.prediction.bundle import list_bundles, load_bundle

    paths = list_bundles(settings.models_root)
    if newest_only:
        paths = list({path.parent: path for path in paths}.values())
    judged, left_out = [], {}
    for path in paths:
        try:
            judged.append(judge_model(load_bundle(path), settings, days=days))
        except AtbError as error:
            left_out["/".join(path.parts[-3:])] = str(error)
    return Predictions(judged, left_out)


def judge_model(bundle: "Bundle", settings: "Settings", *, days: int) -> Judged:
    """Return a model's predictions of the last `days` of its market, with what followed.

    Raises
    ------
    DataError
        If the bars are not stored.
    """
    import pandas as pd

    from atb.data.catalogue.inputs import load_inputs
    from atb.data.catalogue.reading import load_bars
    from atb.features.sets import feature_set
    from atb.prediction.labels import forward_returns, labels
    from atb.prediction.predictor import OnnxPredictor

    card = bundle.card
    venue = None if card["synthetic"] else str(card["venue"])
    bars = load_bars(
        bundle.symbol, bundle.timeframe, root=settings.bars_root, venue=SYNTHETIC if card["synthetic"] else venue
    )
    horizon = int(card["recipe"]["horizon"])
    declared = {
        name: one.resolved(bars.symbol, bars.timeframe) for name, one in feature_set(card["feature_set"]).inputs.items()
    }
    inputs = load_inputs(declared, bars, root=settings.bars_root) if declared else {}
    known = {name: series.known(bars.closed_ms) for name, series in inputs.items()}
    probability = OnnxPredictor(bundle).predict(bars.frame, known)
    index = bars.frame.index
    forward = forward_returns(bars, horizon)
    table = pd.DataFrame(
        {"probability": probability, "rose": labels(forward), "forward": forward, "close": bars.frame["close"]},
        index=index,
    )
    seen = pd.Timestamp(card["periods"]["validation"]["last_open"])
    since = max(index[-1] - pd.Timedelta(days=days), seen + (index[1] - index[0]) * horizon)
    return Judged(bundle.title, bars, table[index > since], horizon, card)

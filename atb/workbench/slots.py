"""From names to a slot that can be run: bars with enough of them before the first traded one, instrument rules, model."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from atb.config import load_settings
from atb.domain import Bars, Instrument, Strategy, Symbol, Timeframe
from atb.engine.parameters import slot_parameters
from atb.engine.policy import ExecutionModel, RiskPolicy
from atb.engine.prepare import Slot, warmup_bars
from atb.errors import InputError, ModelError
from atb.workbench.market import finer_bars, load_bars

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from atb.prediction.predictor import OnnxPredictor

COMMON = ("fraction", "stop_loss", "take_profit", "fee", "slippage", "cash")  # rules that a backtest has as parameters
CHECKED = {"strategy", "params", "symbol", "timeframe", "start", "end", "days", "venue", *COMMON}
MOST_DAYS = 36_500  # a century: more would leave the calendar


@dataclass(frozen=True, slots=True)
class Period:
    """The traded period: bars that open in [start, end); without a start, the last `days` before the end.

    Parameters
    ----------
    start, end
        UTC, as text; an `end` of None is the close of the last stored bar.
    days
        Counts back from the end where there is no start.
    """

    start: str | None = None
    end: str | None = None
    days: int = 365

    def __post_init__(self) -> None:
        """Refuse a period of no length."""
        if isinstance(self.days, bool) or not isinstance(self.days, int) or not 1 <= self.days <= MOST_DAYS:
            raise InputError(f"days must be a whole number from 1 to {MOST_DAYS}", found=self.days)


def load_predictor(
    symbol: str | Symbol, timeframe: str | Timeframe, *, name: str = "basic", version: str | None = None
) -> "OnnxPredictor":
    """Return the newest model of exactly this symbol and timeframe, or the version asked for, verified.

    Raises
    ------
    ModelError
        If there is none, or a byte of it was changed.
    """
    from atb.prediction.bundle import find_bundle, load_bundle
    from atb.prediction.predictor import OnnxPredictor

    path = find_bundle(load_settings().models_root, symbol, timeframe, name=name, version=version)
    return OnnxPredictor(load_bundle(path))


def prepare_slot(
    strategy: Strategy,
    symbol: str,
    timeframe: str,
    *,
    period: Period | None = None,
    venue: str | None = None,
    policy: RiskPolicy | None = None,
    execution: ExecutionModel | None = None,
) -> "tuple[Slot, pd.Timestamp]":
    """Return a slot whose bars begin a warm-up before the period, and the open of the first bar to trade.

    Parameters
    ----------
    strategy
        One that predicts gets the newest model of this symbol and timeframe.
    symbol, timeframe
        In any accepted spelling.
    period
        What to trade; by default the last 365 days.
    venue
        Where the bars come from; None as for `load_bars`.
    policy, execution
        Sizing and protection; costs.

    Returns
    -------
    tuple of Slot and Timestamp
        For `run(slot, start=...)`.

    Raises
    ------
    DataError
        If the catalogue does not cover the period and the warm-up before it.
    ModelError
        If there is no model, or a model of synthetic data meets a market's bars or the other way round.
    """
    predictor = load_predictor(symbol, timeframe) if strategy.predicts else None
    policy, execution = policy or RiskPolicy(), execution or ExecutionModel()
    warmup = warmup_bars(strategy, policy, execution, predictor=predictor)
    start, end = _bounds(symbol, timeframe, period or Period(), venue=venue)
    bars = load_bars(symbol, timeframe, start, end, venue=venue, lead=warmup)
    if not len(bars) or bars.frame.index[-1] < start:
        raise InputError("No bar to trade", found=f"start {start}", todo="Choose an earlier start")
    _check_origin(predictor, bars)
    return Slot(strategy, bars, policy, execution, _instrument(bars), predictor=predictor), start


def check_backtest(values: "Mapping[str, Any]") -> None:
    """Refuse what the backtest notebook would refuse, before a kernel is started for it.

    Parameters
    ----------
    values
        The notebook's parameters with their defaults.

    Raises
    ------
    AtbError
        Whatever is wrong with the strategy, its parameters, the policy, the costs, the period, the bars or the model.
    """
    from atb.data.series import all_series
    from atb.strategies import make_strategy
    from atb.workbench.rules import make_rules

    strategy = make_strategy(values["strategy"], **values["params"])
    rules = make_rules(values.get("policy"), **{name: values[name] for name in COMMON})
    slot_parameters(rules.policy, rules.execution, Instrument(Symbol.parse(values["symbol"])))
    period = Period(values["start"], values["end"], values["days"])
    if all_series(load_settings().bars_root):  # an empty catalogue gets the sample from the notebook itself
        slot, first = prepare_slot(
            strategy,
            values["symbol"],
            values["timeframe"],
            period=period,
            venue=values["venue"],
            policy=rules.policy,
            execution=rules.execution,
        )
        finer_bars(slot.bars, values.get("finer"), start=first)


def _bounds(
    symbol: str, timeframe: str, period: Period, *, venue: str | None
) -> "tuple[pd.Timestamp, pd.Timestamp | None]":
    """Return the first open to trade and the end; the start is moved up to a stored bar's open."""
    import pandas as pd

    from atb.data.catalogue import coverage
    from atb.data.moments import at_ms, in_ms, moment
    from atb.data.series import find_series

    settings = load_settings()
    series = find_series(
        Symbol.parse(symbol), Timeframe.parse(timeframe), root=settings.bars_root, venue=venue or settings.data.venue
    )
    end = moment(period.end)
    start = moment(period.start)
    if start is None:
        closed = at_ms(series.timeframe.next_ms(in_ms(coverage(series)[1])))
        start = (end if end is not None else closed) - pd.Timedelta(days=period.days)
    return start, end


def _check_origin(predictor: "OnnxPredictor | None", bars: Bars) -> None:
    if predictor is None or predictor.bundle.card["synthetic"] == bars.synthetic:
        return
    learned, asked = ("SYNTHETIC data", "a market's bars") if not bars.synthetic else ("a market", "SYNTHETIC data")
    raise ModelError(
        f"The newest model of {bars.symbol} {bars.timeframe} learned from {learned} and would be asked about {asked}",
        found=predictor.bundle.title,
        todo=f"Train one on these bars: atb run notebooks/02_train.ipynb -p symbol={bars.symbol} -p timeframe={bars.timeframe}",
    )


def _instrument(bars: Bars) -> Instrument:
    from atb.data.instruments import load_instrument

    return load_instrument(bars.symbol, root=load_settings().bars_root, venue=bars.venue)

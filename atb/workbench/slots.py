"""From names to a slot that can be run: bars with enough of them before the first traded one, instrument rules, model."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from atb.config import load_settings
from atb.domain import Bars, Instrument, Strategy, Symbol, Timeframe
from atb.engine.policy import ExecutionModel, RiskPolicy
from atb.engine.slot import Slot, warmup_bars
from atb.errors import InputError, ModelError
from atb.workbench.market import load_bars

if TYPE_CHECKING:
    import pandas as pd

    from atb.prediction.predictor import OnnxPredictor

MOST_DAYS = 36_500  # a century: more would leave the calendar


@dataclass(frozen=True, slots=True)
class Period:
    """The traded period: bars that open in [start, end); without a start, the last `days` before the end, or what there is of them.

    Parameters
    ----------
    start, end
        UTC, as text; an `end` of None is the close of the last stored bar.
    days
        Counts back from the end where there is no start. Where fewer are stored, those after the warm-up are traded:
        `traded_part` says so.
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
    start, end = _bounds(symbol, timeframe, period or Period(), venue=venue, warmup=warmup)
    bars = load_bars(symbol, timeframe, start, end, venue=venue, lead=warmup)
    if not len(bars) or bars.frame.index[-1] < start:
        raise InputError("No bar to trade", found=f"start {start}", todo="Choose an earlier start")
    _check_origin(predictor, bars)
    return Slot(strategy, bars, policy, execution, _instrument(bars), predictor=predictor), start


def traded_part(slot: Slot, first: "pd.Timestamp", period: Period) -> str:
    """Return which bars are traded, as a sentence; that fewer days are stored than were asked for is said."""
    index = slot.bars.frame.index
    traded = int(len(index) - index.searchsorted(first))
    end = slot.bars.timeframe.next(index[-1].to_pydatetime())
    days = (end - first).total_seconds() / 86_400
    told = f"{first:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, {traded:,} bars of {slot.bars.timeframe} ({days:,.1f} days)"
    if period.start is not None or days > period.days - 1:
        return told
    return f"{told}: all that is stored after a warm-up of {slot.warmup:,} bars, not {period.days:,} days"


def _bounds(
    symbol: str, timeframe: str, period: Period, *, venue: str | None, warmup: int
) -> "tuple[pd.Timestamp, pd.Timestamp | None]":
    """Return the first open to trade and the end; without a start, as many of the last days as are stored after the warm-up."""
    import pandas as pd

    from atb.data.catalogue.reading import coverage, earliest_start
    from atb.data.catalogue.series import find_series
    from atb.times import at_ms, in_ms, moment

    settings = load_settings()
    series = find_series(
        Symbol.parse(symbol), Timeframe.parse(timeframe), root=settings.bars_root, venue=venue or settings.data.venue
    )
    end = moment(period.end)
    start = moment(period.start)
    if start is None:
        closed = at_ms(series.timeframe.next_ms(in_ms(coverage(series)[1])))
        wanted = (end if end is not None else closed) - pd.Timedelta(days=period.days)
        start = earliest_start(series, wanted, lead=warmup)
        if end is not None and start >= end:
            told = f"the first bar of {series} that can be traded opens at {start:%Y-%m-%d %H:%M}, after {warmup:,} of warm-up"
            raise InputError(f"No bar to trade: {told}", found=f"end {period.end}", todo="Choose a later end")
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
    from atb.data.catalogue.instruments import rules_of

    return rules_of(bars, root=load_settings().bars_root)

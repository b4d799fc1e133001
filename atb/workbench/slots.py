"""Slots for notebooks: from names to bars with their warm-up, instrument rules and model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from atb.config import load_settings
from atb.decimals import counted
from atb.domain import Bars, Instrument, Strategy, Symbol, Timeframe
from atb.domain.inputs import Input
from atb.engine.policy import ExecutionModel, RiskPolicy
from atb.engine.slot import Slot, slot_inputs, warmup_bars
from atb.errors import InputError, ModelError
from atb.workbench.market import load_bars

if TYPE_CHECKING:
    import pandas as pd

    from atb.prediction.predictor import OnnxPredictor

MOST_DAYS = 36_500  # a century; more could leave the calendar


@dataclass(frozen=True, slots=True)
class Period:
    """The traded period: bars that open in [start, end). Without a start, the last `days` before the end, or as many as are stored.

    Parameters
    ----------
    start, end
        UTC, as text; an `end` of None means the close of the last stored bar.
    days
        Counted back from the end; ignored with a start. If fewer are stored, those after the warm-up are traded, and
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
    """Return the newest model of this symbol and timeframe, or the given version, verified.

    Raises
    ------
    ModelError
        If there is none, or it was changed.
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

    A perpetual pays and receives the funding that is stored for it (`atb data funding`).

    Parameters
    ----------
    strategy
        A strategy that predicts gets the newest model of this symbol and timeframe; one that declares inputs gets them from the
        catalogue.
    symbol, timeframe
        In any accepted spelling.
    period
        Traded period; by default the last 365 days.
    venue
        Venue of the bars; None as in `load_bars`.
    policy, execution
        Sizing and protection; costs.

    Returns
    -------
    tuple of Slot and Timestamp
        For `run(slot, start=...)`.

    Raises
    ------
    DataError
        If the catalogue does not cover the period and the warm-up before it, of the bars and of every input.
    ModelError
        If there is no model, or it was trained on synthetic data and the bars are real, or the reverse.
    """
    from atb.data.catalogue.inputs import load_inputs

    predictor = load_predictor(symbol, timeframe) if strategy.predicts else None
    policy, execution = policy or RiskPolicy(), execution or ExecutionModel()
    warmup = warmup_bars(strategy, policy, execution, predictor=predictor)
    declared = slot_inputs(strategy, Symbol.parse(symbol), Timeframe.parse(timeframe), predictor=predictor)
    start, end = _bounds(symbol, timeframe, period or Period(), venue=venue, warmup=warmup, declared=declared)
    bars = load_bars(symbol, timeframe, start, end, venue=venue, lead=warmup)
    if not len(bars) or bars.frame.index[-1] < start:
        raise InputError("No bar to trade", found=f"start {start}", todo="Choose an earlier start")
    _check_origin(predictor, bars)
    inputs = load_inputs(declared, bars, root=load_settings().bars_root) if declared else {}
    rules, funding = _instrument(bars), _funding(bars)
    return Slot(strategy, bars, policy, execution, rules, predictor=predictor, funding=funding, inputs=inputs), start


def traded_part(slot: Slot, first: "pd.Timestamp", period: Period) -> str:
    """Return the traded bars in a sentence, which also says if fewer days are stored than wanted."""
    index = slot.bars.frame.index
    traded = int(len(index) - index.searchsorted(first))
    end = slot.bars.timeframe.next(index[-1].to_pydatetime())
    days = (end - first).total_seconds() / 86_400
    count = f"{counted(traded, 'bar')} of {slot.bars.timeframe} ({days:,.1f} days)"
    text = f"{first:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, {count}"
    if period.start is not None or days > period.days - 1:
        return text
    return f"{text}: all that is stored after a warm-up of {counted(slot.warmup, 'bar')}, not {counted(period.days, 'day')}"


def _bounds(
    symbol: str, timeframe: str, period: Period, *, venue: str | None, warmup: int, declared: Mapping[str, Input]
) -> "tuple[pd.Timestamp, pd.Timestamp | None]":
    """Return the first open to trade and the end; without a start, as many of the last days as have a warm-up before them.

    The inputs must have their warm-up at the first bar of the slot's own.
    """
    import pandas as pd

    from atb.data.catalogue.inputs import known_from
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
        if declared:
            known = known_from(declared, root=settings.bars_root, venue=series.venue)
            wanted = max(wanted, at_ms((known or 0) + warmup * series.timeframe.seconds * 1_000).ceil("D"))
        start = earliest_start(series, wanted, lead=warmup)
        if end is not None and start >= end:
            first = f"the first bar of {series} that can be traded opens at {start:%Y-%m-%d %H:%M}, after a warm-up of {warmup:,}"
            raise InputError(f"No bar to trade: {first}", found=f"end {period.end}", todo="Choose a later end")
    return start, end


def _check_origin(predictor: "OnnxPredictor | None", bars: Bars) -> None:
    if predictor is None or predictor.bundle.card["synthetic"] == bars.synthetic:
        return
    trained, used = ("SYNTHETIC data", "real bars") if not bars.synthetic else ("real bars", "SYNTHETIC data")
    raise ModelError(
        f"The newest model of {bars.symbol} {bars.timeframe} was trained on {trained} and would be used on {used}",
        found=predictor.bundle.title,
        todo=f"Train one on these bars: atb run notebooks/02_train.ipynb -p symbol={bars.symbol} -p timeframe={bars.timeframe}",
    )


def _funding(bars: Bars) -> "pd.Series[float] | None":
    """Return the stored funding of a perpetual over its bars; None for another symbol, or where nothing of it is stored."""
    from atb.data.catalogue.events import funding_at
    from atb.data.catalogue.funding import load_funding

    root = load_settings().bars_root
    if not bars.symbol.settle or not funding_at(root, symbol=bars.symbol, venue=bars.venue).stored:
        return None
    end = bars.timeframe.next(bars.frame.index[-1].to_pydatetime())
    paid = load_funding(bars.symbol, root=root, venue=bars.venue)["funding_rate"]
    due: pd.Series[float] = paid[(paid.index > bars.frame.index[0]) & (paid.index <= end)]
    return due


def _instrument(bars: Bars) -> Instrument:
    from atb.data.catalogue.instruments import rules_of

    return rules_of(bars, root=load_settings().bars_root)

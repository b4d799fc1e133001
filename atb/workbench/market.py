"""Bars for notebooks: from the catalogue of the settings, or from a synthetic market if that is empty."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from atb.config import load_settings
from atb.domain import Bars, Symbol, Timeframe
from atb.domain.bars import SYNTHETIC
from atb.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from atb.data.catalogue.series import Series
    from atb.domain.input_series import InputSeries
    from atb.times import Moment


SAMPLE = {("BTC/USDT", "1h"), ("ETH/USDT", "1h")}  # series of the synthetic market


def load_bars(  # noqa: PLR0917 - the everyday call of every notebook reads well without names
    symbol: str | Symbol,
    timeframe: str | Timeframe,
    start: "Moment | None" = None,
    end: "Moment | None" = None,
    *,
    venue: str | None = None,
    lead: int = 0,
) -> Bars:
    """Return stored bars that open in [start, end) and `lead` bars before, from the catalogue of the settings.

    Without a `venue`, the one of the settings is used, or else the only venue that has the series.
    """
    from atb.data.catalogue import reading as stored

    settings = load_settings()
    known = venue if venue is not None else settings.data.venue
    return stored.load_bars(symbol, timeframe, start, end, root=settings.bars_root, venue=known, lead=lead)


def feature_inputs(feature_set: str, bars: Bars) -> "dict[str, InputSeries]":
    """Return the stored rows of what a feature set reads beside the bars; none for a set of bars alone.

    Raises
    ------
    InputError
        If there is no such set.
    DataError
        If an input is not stored, or does not cover the bars and its warm-up before them.
    """
    from atb.data.catalogue.inputs import load_inputs
    from atb.features.sets import feature_set as find_set

    declared = {name: one.resolved(bars.symbol, bars.timeframe) for name, one in find_set(feature_set).inputs.items()}
    return load_inputs(declared, bars, root=load_settings().bars_root) if declared else {}


def sole_series(
    symbol: str | None = None, timeframe: str | None = None, *, venue: str | None = None, usual: tuple[str, str]
) -> "Series | None":
    """Return the only stored series that matches symbol, timeframe and venue; None if the `usual` one is to be used.

    Real bars take precedence over synthetic ones.

    Raises
    ------
    InputError
        If several match and the usual one is not among them; the message names them.
    """
    from atb.data.catalogue.series import MARK, all_series

    settings = load_settings()
    known = venue if venue is not None else settings.data.venue
    stored = [
        series
        for series in all_series(settings.bars_root)
        if series.venue == known or (known is None and not series.venue.endswith(MARK))
    ]
    fitting = [
        series
        for series in stored
        if symbol in {None, str(series.symbol)} and timeframe in {None, str(series.timeframe)}
    ]
    real = [series for series in fitting if series.venue != SYNTHETIC] or fitting
    wanted = (symbol or usual[0], timeframe or usual[1])
    names = {(str(series.symbol), str(series.timeframe)) for series in real}
    if not names or (wanted in names and len(names) > 1):
        return None
    if len(names) > 1:
        found = ", ".join(map(str, real[:8])) + ", ..." * (len(real) > 8)
        raise InputError("Several series are stored", found=found, todo="Choose one with --symbol and --timeframe")
    return real[0]


def finer_bars(
    series: Sequence[Bars], timeframe: str | Timeframe | None, *, start: "Moment | None" = None
) -> list[Bars] | None:
    """Return stored bars of a finer timeframe for the same symbols, venues and periods; None without a timeframe.

    Parameters
    ----------
    series
        The bars that a backtest trades, one series per slot.
    timeframe
        The finer timeframe, such as 5m.
    start
        First open to trade; finer bars are loaded from there.

    Raises
    ------
    InputError
        If the timeframe is not finer, or no such series is stored.
    """
    if not timeframe:
        return None
    wanted = Timeframe.parse(timeframe) if isinstance(timeframe, str) else timeframe
    return [_finer(bars, wanted, bars.frame.index[0] if start is None else start) for bars in series]


def _finer(bars: Bars, wanted: Timeframe, first: "Moment") -> Bars:
    if wanted.seconds >= bars.timeframe.seconds:
        raise InputError("Drilling down needs a finer timeframe", found=f"{wanted} for bars of {bars.timeframe}")
    end = bars.timeframe.next(bars.frame.index[-1].to_pydatetime())
    return load_bars(bars.symbol, wanted, first, end, venue=bars.venue)


def ensure_sample() -> str:
    """Write the synthetic market if the catalogue is empty; return a sentence on what is there.

    This lets every notebook run by itself, and never adds made-up bars to a user's data.
    """
    from atb.data.catalogue.series import all_series
    from atb.data.providers.sample import write_sample

    root = load_settings().bars_root
    found = all_series(root)
    if found:
        return f"The catalogue holds {len(found)} series: {', '.join(map(str, found[:6]))}{', ...' * (len(found) > 6)}."
    written = write_sample(root=root)
    return (
        "The catalogue was empty, so a market was made up: "
        + "; ".join(f"{bars.label}, {len(bars):,} bars" for bars, _ in written)
        + ". It says nothing about any real one."
    )


def catalogue() -> "pd.DataFrame":
    """Return one row per stored series: period, number of bars and gaps, source, fingerprint. Each series is read and verified."""
    import pandas as pd

    from atb.data.catalogue.verification import list_series
    from atb.times import short

    rows = [
        {
            "symbol": str(stored.symbol),
            "timeframe": str(stored.timeframe),
            "venue": stored.venue,
            "bars": stored.bars,
            "first open": short(stored.first) if stored.first is not None else "",
            "last open": short(stored.last) if stored.last is not None else "",
            "gaps": len(stored.gaps),
            "source": "; ".join(stored.sources),
            "fingerprint": stored.fingerprint[:16],
            "problem": stored.problem,
        }
        for stored in list_series(load_settings().bars_root)
    ]
    return pd.DataFrame(rows)

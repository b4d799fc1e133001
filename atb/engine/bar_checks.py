"""Whether bars are bars: refused before the kernel sees them, with the first row that is none and what was found there."""

import numpy as np

from atb.domain.bars import Bars
from atb.domain.instrument import Instrument
from atb.engine.columns import BarColumns
from atb.errors import InputError

_NEARLY = 1 - 1e-9  # of a price step


def check_bars(columns: BarColumns, bars: Bars, rules: Instrument) -> None:
    """Refuse rows that are no bars of their own.

    Raises
    ------
    InputError
        If times overlap or are not in order, a price is no number above 0 or less than one price step, a high or low does not hold
        open and close, or a volume is below 0.
    """
    if _are_bars(columns, float(rules.tick)):
        return
    sound = (columns.low >= float(rules.tick) * _NEARLY) & (columns.high < np.inf) & (columns.volume >= 0)
    sound &= (columns.low <= np.minimum(columns.open, columns.close)) & (
        columns.high >= np.maximum(columns.open, columns.close)
    )
    sound[1:] &= columns.opened[1:] >= columns.closed[:-1]
    at = int(np.argmin(sound))
    name, opened, low = f"Bar {at} of {bars.symbol} {bars.timeframe}", bars.frame.index[at], float(columns.low[at])
    if 0 < low < float(rules.tick) * _NEARLY:
        raise InputError(
            f"{name} costs less than one price step, {rules.tick:f}: these rules ({rules.source}) do not fit its prices",
            found=f"a low of {low} at {opened}",
            todo="Give the slot the venue's rules, or none: they are then read off the bars",
        )
    raise InputError(
        f"{name} has a wrong price, volume or time, or overlaps the one before it",
        found=f"{opened} {bars.frame.iloc[at].to_dict()}",
        todo="Repair the data; atb data import names what is wrong with a file",
    )


def _are_bars(columns: BarColumns, tick: float) -> bool:
    """Tell whether every row is a bar of its own; every comparison with a NaN is false."""
    low, high = columns.low, columns.high
    within = (low <= columns.open).all() and (low <= columns.close).all()
    within = within and (high >= columns.open).all() and (high >= columns.close).all()
    apart = (columns.opened[1:] >= columns.closed[:-1]).all()
    least = low.min(initial=np.inf) >= tick * _NEARLY  # below a step there is no price to sell at
    return bool(within and apart and least and high.max(initial=0.0) < np.inf and columns.volume.min(initial=0.0) >= 0)

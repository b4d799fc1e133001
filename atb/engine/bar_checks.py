"""Whether bars are bars: refused before the kernel sees them, with the first row that is none and what was found there."""

import numpy as np

from atb.domain.bars import Bars
from atb.domain.instrument import Instrument
from atb.engine.columns import Lanes
from atb.errors import InputError

_NEARLY = 1 - 1e-9  # of a price step


def check_bars(lanes: Lanes, bars: Bars, rules: Instrument) -> None:
    """Refuse rows that are no bars of their own.

    Raises
    ------
    InputError
        If times overlap or are not in order, a price is no number above 0 or less than one price step, a high or low does not hold
        open and close, or a volume is below 0.
    """
    if _are_bars(lanes, float(rules.tick)):
        return
    sound = (lanes.low >= float(rules.tick) * _NEARLY) & (lanes.high < np.inf) & (lanes.volume >= 0)
    sound &= (lanes.low <= np.minimum(lanes.open, lanes.close)) & (lanes.high >= np.maximum(lanes.open, lanes.close))
    sound[1:] &= lanes.opened[1:] >= lanes.closed[:-1]
    at = int(np.argmin(sound))
    name, opened, low = f"Bar {at} of {bars.symbol} {bars.timeframe}", bars.frame.index[at], float(lanes.low[at])
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


def _are_bars(lanes: Lanes, tick: float) -> bool:
    """Tell whether every row is a bar of its own; every comparison with a NaN is false."""
    low, high = lanes.low, lanes.high
    within = (low <= lanes.open).all() and (low <= lanes.close).all()
    within = within and (high >= lanes.open).all() and (high >= lanes.close).all()
    apart = (lanes.opened[1:] >= lanes.closed[:-1]).all()
    least = low.min(initial=np.inf) >= tick * _NEARLY  # below a step there is no price to sell at
    return bool(within and apart and least and high.max(initial=0.0) < np.inf and lanes.volume.min(initial=0.0) >= 0)

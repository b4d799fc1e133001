"""Trading rules observed in a series of bars, where no venue gives them: the finest step of its prices and volumes.

A binary double shows the decimals it was read from: 0.08123 has five. The price step is the coarsest
power of ten that nearly every price is a multiple of, and a multiple of that (0.5, 0.05, 5) where every price is. A few odd rows,
such as averages with ten digits, do not count, as long as rounding them moves them by next to nothing; where most prices are
computed and have no step, eight significant digits are one. The lot is read off the volumes in the same way, and is never worth
more than the least order: such volumes were rounded by whoever wrote the file.

The step is a property of the market and not of its future: reading it off all bars is no look-ahead. A run records the rules it
used, and a manifest carries them.
"""

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from atb.decimals import power_of_ten
from atb.domain.bars import Bars
from atb.domain.instrument import Instrument
from atb.domain.symbol import Symbol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# The usual least value of an order in each quote's own scale: what Binance asked of spot pairs on 2024-09-08, and 5 of other
# dollars. Quotes that are not here have no known least.
_FIVE = ("USD", "USDT", "USDC", "FDUSD", "TUSD", "BUSD", "DAI", "USDP", "PYUSD", "EUR", "EURI", "AEUR", "GBP")
LEAST_ORDERS: dict[str, Decimal] = dict.fromkeys(_FIVE, Decimal(5)) | {
    name: Decimal(least)
    for name, least in {
        "BTC": "0.0001", "ETH": "0.001", "BNB": "0.01", "XRP": "10", "TRX": "100", "DOGE": "30", "TRY": "10", "BRL": "10",
        "JPY": "100", "UAH": "100", "ZAR": "100", "PLN": "25", "RON": "20", "ARS": "2000", "MXN": "150", "CZK": "200",
        "COP": "4000", "IDRT": "20000", "IDR": "20000",
    }.items()
}  # fmt: skip

MOST_DECIMALS = 18
_CENT, _FINE_LOT = Decimal("0.01"), Decimal("0.00001")  # of the synthetic market
_NO_STEP = 99  # decimals of a computed number
_LOT_DECIMALS = 8  # the finest lot that large venues have
_DIGITS = 8  # significant ones, of prices that have no step
_READ = 200_000  # most values that are looked at, evenly spread
_FEW, _FEWER = 0.05, 0.005  # shares of values that may be written finer than the step
_FINE, _COARSE = 1e-3, 1e-2  # how large a step may be beside the value that it rounds
_DISTINCT, _MULTIPLE = 50, 1e-3  # a step such as 5 needs as many different prices, and is as small beside them
_MULTIPLES = sorted((m * 10**e for m in (1, 2, 5, 25) for e in range(7)), reverse=True)


def observed_rules(bars: Bars) -> Instrument:
    """Return the rules that a series shows; `source` says that they are from the data, and what was not in them.

    The least quantity is one lot; the least value is the usual one of the quote asset, and 0 where none is known.
    """
    import numpy as np

    if bars.synthetic:
        return exchange_rules(bars)
    prices, frame = _prices(bars), bars.frame
    tick = price_step(prices)
    least = LEAST_ORDERS.get(bars.symbol.settle or bars.symbol.quote, Decimal(0))
    lot = lot_step(frame["volume"].to_numpy(dtype=np.float64), price=_typical(prices), least=float(least))
    known = (
        f"least value as usual for {bars.symbol.quote}" if least else f"no least value known for {bars.symbol.quote}"
    )
    return Instrument(bars.symbol, tick, lot, lot, least, source=f"from the data, {len(bars):,} bars; {known}")


def exchange_rules(bars: Bars) -> Instrument:
    """Return the rules of a simulated exchange that serves these bars: its own lots, and a price step that fits the prices."""
    return synthetic_rules(bars.symbol, price_step(_prices(bars)))


def synthetic_rules(symbol: Symbol, tick: Decimal = _CENT) -> Instrument:
    """Return the synthetic market's own rules; its price step is a cent or less."""
    least = LEAST_ORDERS.get(symbol.settle or symbol.quote, Decimal(0))
    return Instrument(symbol, min(tick, _CENT), _FINE_LOT, _FINE_LOT, least, source="of the synthetic market")


def written_step(bars: Bars) -> Decimal | None:
    """Return the price step that a series is written with, None where its prices are computed and have none."""
    return _written(_sample(_prices(bars)))


def price_step(prices: "Floats") -> Decimal:
    """Return the step of prices, never coarser than they are written but for a few odd ones (see the module)."""
    return _written(_sample(prices)) or power_of_ten(math.floor(math.log10(_typical(prices))) + 1 - _DIGITS)


def _prices(bars: Bars) -> "Floats":
    import numpy as np

    return bars.frame[["open", "high", "low", "close"]].to_numpy(dtype=np.float64).ravel()


def _written(values: "Floats") -> Decimal | None:
    """Return the step of prices above 0, None where too many of them are computed."""
    import numpy as np

    if not len(values):
        return None
    decimals, typical = _decimals(values), float(np.median(values))
    cheap = values < typical / 3  # where the step of the usual price may be a coarse one
    for places in range(int(decimals[decimals < _NO_STEP].max(initial=0)) + 1):
        step, finer = 10.0**-places, decimals > places
        few = finer.mean() <= _FEW and (finer & ((step > _FINE * values) | cheap)).mean() <= _FEWER
        if few and not (finer & (step > _COARSE * values)).any():
            units = np.rint(values[~finer] * 10.0**places)
            return _multiple(units, places, most=_MULTIPLE * typical)
    return None


def lot_step(volumes: "Floats", *, price: float, least: float) -> Decimal:
    """Return the step of volumes (base), such that a lot is worth at most `least` (quote) where that is above 0."""
    values = _sample(volumes)
    places, decimals = 0, _decimals(values)
    while places < _LOT_DECIMALS and (not len(values) or (decimals > places).mean() > _FEW):
        places += 1
    while least > 0 and places < MOST_DECIMALS and 10.0**-places * price > least:
        places += 1
    return power_of_ten(-places)


def _multiple(units: "Floats", places: int, *, most: float) -> Decimal:
    """Return the coarsest usual multiple of 10^-places that all prices (in units of it) are multiples of, at most `most`."""
    import numpy as np

    step = power_of_ten(-places)
    if len(np.unique(units)) < _DISTINCT:
        return step
    found = (m for m in _MULTIPLES if m * 10.0**-places <= most and not (units % m).any())
    return step * next(found, 1)


def _typical(prices: "Floats") -> float:
    import numpy as np

    known = _sample(prices)
    return float(np.median(known)) if len(known) else 1.0


def _sample(values: "Floats") -> "Floats":
    """Return the numbers above 0, at most `_READ` of them."""
    import numpy as np

    known = values[np.isfinite(values) & (values > 0)]
    return known[:: math.ceil(len(known) / _READ)] if len(known) > _READ else known


def _decimals(values: "Floats") -> "NDArray[np.int64]":
    """Return how many decimals each number was written with, `_NO_STEP` where it was computed.

    A number of k units of 10^-d is the double nearest to k / 10^d, and dividing two exact doubles gives just that one. What no d
    gives is looked at once more without its last digits, where sums leave their rounding, and as what single precision remembers.
    """
    import numpy as np

    found = _exact(values)
    odd = found == _NO_STEP
    if odd.any():
        found[odd] = _exact(_digits(values[odd], 12), digits=10)
        odd = found == _NO_STEP
    if odd.any() and (values[odd] == values[odd].astype(np.float32)).all():
        found[odd] = _exact(_digits(values[odd], 7), digits=7)
    return found


def _exact(values: "Floats", digits: int = 12) -> "NDArray[np.int64]":
    import numpy as np

    found = np.full(len(values), _NO_STEP, dtype=np.int64)
    left = np.arange(len(values))
    for places in range(MOST_DECIMALS + 1):
        scaled: Any = values[left] * 10.0**places
        whole = np.rint(scaled)
        short = whole < 10.0**digits
        done = short & (whole / 10.0**places == values[left])
        found[left[done]] = places
        left = left[short & ~done]
        if not len(left):
            break
    return found


def _digits(values: "Floats", count: int) -> "Floats":
    """Return numbers rounded to so many significant digits."""
    import numpy as np

    places = count - 1 - np.floor(np.log10(values)).astype(np.int64)
    scale = 10.0 ** np.abs(places)
    return np.asarray(np.where(places >= 0, np.rint(values * scale) / scale, np.rint(values / scale) * scale))

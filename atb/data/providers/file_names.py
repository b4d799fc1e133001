"""What a file's name says of its bars: symbol, timeframe and venue, as the usual sources name their files."""

import re

from atb.domain import Symbol, Timeframe
from atb.errors import InputError

_NAMES = (
    re.compile(
        r"(?P<venue>[A-Za-z0-9]+)_(?P<symbol>[A-Za-z0-9-]+)_(?P<timeframe>\d{1,2}[mhdwM])(?:_.*)?"
    ),  # binance_BTCUSDT_1h, CryptoDataDownload's Binance_BTCUSDT_1h
    re.compile(
        r"(?P<venue>[A-Za-z0-9]+)_(?P<symbol>[A-Za-z0-9]+)(?:_\d{4})?_(?P<timeframe>d|minute)"
    ),  # CryptoDataDownload's days and minutes, these by year
    re.compile(
        r"(?P<symbol>[A-Z0-9]{5,20})-(?P<timeframe>\d{1,2}(?:mo|[mhdw]))-\d{4}-\d{2}(?:-\d{2})?"
    ),  # data.binance.vision
    re.compile(
        r"(?P<symbol>[A-Z0-9]+_[A-Z0-9]+(?:_[A-Z0-9]+)?)-(?P<timeframe>\d{1,2}[mhdwM])(?:-[a-z]+)?"
    ),  # freqtrade
)
_LONG_NAMES = {"d": "1d", "minute": "1m"}


def said_by(name: str) -> dict[str, str]:
    """Return venue, symbol and timeframe from a name like `binance_BTCUSDT_1h.parquet`, as far as they make sense."""
    match = next((found for pattern in _NAMES if (found := pattern.fullmatch(name.split(".", maxsplit=1)[0]))), None)
    if match is None:
        return {}
    said = {key: value for key, value in match.groupdict().items() if value}
    said["timeframe"] = _LONG_NAMES.get(said["timeframe"], said["timeframe"]).replace("mo", "M")
    if "venue" in said:
        said["venue"] = said["venue"].lower()
    try:
        Symbol.parse(said["symbol"])
        Timeframe.parse(said["timeframe"])
    except InputError:
        return {}
    return said

"""Providers, where bars come from: each is a `CandleSource`, and `PROVIDERS` is their register.

To add one: a `CandleSource` in a file of its own, a line in `PROVIDERS`, and how to make one in `tests/contracts/providers.py`;
the contract tests then run on it, and `download_bars` stores what it gives. A provider is imported when it is opened.
"""

import importlib
from typing import TYPE_CHECKING, Any

from atb.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from atb.data.providers.candle_source import CandleSource

PROVIDERS: dict[str, str] = {
    "ccxt": "ccxt_candles:CcxtCandles",
    "files": "files:FileCandles",
    "sample": "sample:SampleCandles",
}
"""Each provider's module and class below this package."""


def open_provider(name: str, /, *arguments: Any, **options: Any) -> "CandleSource":
    """Return a provider, made with its own arguments.

    Parameters
    ----------
    name
        In the register: `ccxt`, `files` or `sample`.
    arguments, options
        The class's own, such as the exchange's id for `ccxt`.

    Raises
    ------
    InputError
        If there is no such provider, or it refuses its arguments.
    DataError
        If it has no usable bars.
    """
    if name not in PROVIDERS:
        raise InputError("Unknown provider", found=name, todo=did_you_mean(name, PROVIDERS))
    module, _, attribute = PROVIDERS[name].partition(":")
    source: CandleSource = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)(*arguments, **options)
    return source

"""Providers, where bars and events come from: a `CandleSource` in the register `PROVIDERS`, an `EventSource` in `EVENT_PROVIDERS`.

To add one: its class in a file of its own, a line in the register, and how to make one in `tests/contracts/providers.py`; the
contract tests then run on it, and `download_bars` or `download_events` stores what it gives. A provider is imported when opened.
"""

import importlib
from typing import TYPE_CHECKING, Any

from atb.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from atb.data.providers.candle_source import CandleSource
    from atb.data.providers.event_source import EventSource

PROVIDERS: dict[str, str] = {
    "archive": "archives:ArchiveCandles",
    "ccxt": "ccxt_candles:CcxtCandles",
    "files": "files:FileCandles",
    "sample": "sample:SampleCandles",
}
"""Each provider of candles: its module and class below this package."""

EVENT_PROVIDERS: dict[str, str] = {
    "archive": "archives:ArchiveFunding",
    "ccxt": "ccxt_funding:CcxtFunding",
    "fear_greed": "fear_greed:FearGreed",
    "files": "event_files:FileEvents",
}
"""Each provider of funding or sentiment, likewise."""


def open_provider(name: str, /, *arguments: Any, **options: Any) -> "CandleSource":
    """Return a provider, made with its own arguments.

    Parameters
    ----------
    name
        In the register: `archive`, `ccxt`, `files` or `sample`.
    arguments, options
        The class's own, such as the exchange's id for `ccxt`.

    Raises
    ------
    InputError
        If there is no such provider, or it refuses its arguments.
    DataError
        If it has no usable bars.
    """
    source: CandleSource = _opened(name, PROVIDERS)(*arguments, **options)
    return source


def open_events(name: str, /, *arguments: Any, **options: Any) -> "EventSource":
    """Return a provider of events, made with its own arguments.

    Parameters
    ----------
    name
        In the register: `archive`, `ccxt`, `fear_greed` or `files`.
    arguments, options
        The class's own, such as exchange and perpetual for `ccxt`.

    Raises
    ------
    InputError
        If there is no such provider, or it refuses its arguments.
    DataError
        If it has no usable events.
    """
    source: EventSource = _opened(name, EVENT_PROVIDERS)(*arguments, **options)
    return source


def _opened(name: str, register: dict[str, str]) -> Any:
    if name not in register:
        raise InputError("Unknown provider", found=name, todo=did_you_mean(name, register))
    module, _, attribute = register[name].partition(":")
    return getattr(importlib.import_module(f"{__name__}.{module}"), attribute)

"""Brokers for real exchanges, through ccxt: every request ends as done, definitely rejected, or unknown."""

from atb.domain.ports import Broker, Clock
from atb.venues.broker.connection import Access

__all__ = ["Access", "connect"]


def connect(access: Access, clock: Clock) -> Broker:
    """Return the broker of an account; it sends no request before `open`.

    Parameters
    ----------
    access
        Exchange, key and address.
    clock
        The runner's clock; in a rehearsal the simulated exchange's.

    Raises
    ------
    InputError
        If ccxt does not know the exchange.
    ConfigError
        If the exchange does not support this kind of access.
    """
    if access.id == "binance":
        from atb.venues.broker.binance import BinanceBroker

        return BinanceBroker(access, clock)
    if access.id == "coinbase":
        from atb.venues.broker.coinbase import CoinbaseBroker

        return CoinbaseBroker(access, clock)
    from atb.venues.broker.unified import UnifiedBroker

    return UnifiedBroker(access, clock)

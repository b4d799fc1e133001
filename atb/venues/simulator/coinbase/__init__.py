"""A second, thinner skin over the same exchange: Coinbase Advanced, to prove that no part of atb is shaped by Binance."""

from atb.venues.simulator.coinbase.routes import add_routes

__all__ = ["add_routes"]

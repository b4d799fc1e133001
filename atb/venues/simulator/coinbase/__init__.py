"""Coinbase Advanced's API over the same simulated exchange: proof that no part of atb depends on Binance."""

from atb.venues.simulator.coinbase.routes import add_routes

__all__ = ["add_routes"]

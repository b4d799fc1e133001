"""Frozen values of the trading domain and the ports through which the outside world is reached."""

from atb.domain.bars import BAR_COLUMNS, Bars
from atb.domain.inputs import BarsInput, FundingInput, Known, SentimentInput, UniverseInput
from atb.domain.instrument import Instrument
from atb.domain.orders import Fill, Order
from atb.domain.ports import Broker, Clock, Predictor, Strategy, Timer
from atb.domain.signals import Signals
from atb.domain.symbol import Symbol
from atb.domain.timeframe import Timeframe

__all__ = [
    "BAR_COLUMNS",
    "Bars",
    "BarsInput",
    "Broker",
    "Clock",
    "Fill",
    "FundingInput",
    "Instrument",
    "Known",
    "Order",
    "Predictor",
    "SentimentInput",
    "Signals",
    "Strategy",
    "Symbol",
    "Timeframe",
    "Timer",
    "UniverseInput",
]


def __dir__() -> list[str]:
    """Return the public names, loaded or not: what a notebook completes to."""
    return sorted(__all__)

"""Trading rules for tests whose numbers were worked out with them: a cent, a hundred-thousandth, five of the quote asset."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from atb.domain import Instrument, Symbol

_STEP = Decimal("0.00001")


def usual(symbol: str | Symbol = "BTC/USDT", **changes: Any) -> Instrument:
    """Return rules like those of a large dollar pair, with changes."""
    return replace(Instrument(Symbol.parse(symbol), Decimal("0.01"), _STEP, _STEP, Decimal(5)), **changes)

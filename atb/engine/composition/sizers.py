"""Sizers to compose: the kernel's rules of sizing under short names. There is no other rule of sizing.

sizers.risk(0.01)
sizers.volatility(0.4, most=0.5)
"""

from atb.engine.composition.part import PolicyPart, part


def fraction(share: float = 0.95) -> PolicyPart:
    """Return: a fixed fraction of equity."""
    return part("fraction", sizing="fixed_fraction", fraction=share)


def stake(amount: float) -> PolicyPart:
    """Return: a fixed amount of the quote asset."""
    return part("stake", sizing="fixed_stake", stake=amount)


def risk(share: float = 0.02, *, most: float = 0.95) -> PolicyPart:
    """Return: so much that the stop loses `share` of equity, `most` of equity at most. Needs an exit with a stop."""
    return part("risk", sizing="risk", risk=share, fraction=most)


def volatility(target: float = 0.4, *, most: float = 0.95, window: int = 168) -> PolicyPart:
    """Return: `most` of equity, less as the annualised volatility of the last `window` bars exceeds `target`."""
    return part("volatility", sizing="volatility", volatility_target=target, fraction=most, volatility_window=window)


def kelly(scale: float = 0.5, *, floor: float = 0.02, trades: int = 30, most: float = 0.95) -> PolicyPart:
    """Return: `scale` of Kelly's fraction from the slot's own closed trades, `floor` of equity until there are `trades`."""
    return part("kelly", sizing="kelly", kelly_scale=scale, kelly_floor=floor, kelly_trades=trades, fraction=most)

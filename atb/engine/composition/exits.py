"""Exits to compose: the kernel's rules that protect and end a position, under short names. Distances are fractions of the price.

exits.stop_atr(2.0), exits.ladder((0.03, 0.25), (0.06, 0.25)), exits.time_limit(336)
"""

from atb.engine.composition.part import PolicyPart, part


def stop_loss(distance: float) -> PolicyPart:
    """Return: a stop at this distance from the entry."""
    return part("stop_loss", stop_loss=distance)


def stop_atr(multiple: float, *, window: int = 14) -> PolicyPart:
    """Return: a stop at this multiple of the average true range (Wilder's, of `window` bars) from the entry."""
    return part("stop_atr", stop_atr=multiple, atr_window=window)


def take_profit(distance: float) -> PolicyPart:
    """Return: a target at this distance from the entry."""
    return part("take_profit", take_profit=distance)


def ladder(*steps: tuple[float, float]) -> PolicyPart:
    """Return: up to three partial exits as (distance, fraction of all that was entered), nearest first."""
    return part("ladder", ladder=tuple(map(tuple, steps)))


def trailing_stop(distance: float, *, after: float | None = None) -> PolicyPart:
    """Return: a stop that follows the close, once the profit has reached `after`."""
    return part("trailing_stop", trailing_stop=distance, trailing_after=after)


def trailing_atr(multiple: float, *, after: float | None = None, window: int = 14) -> PolicyPart:
    """Return: a stop that follows the close at this multiple of the average true range."""
    return part("trailing_atr", trailing_atr=multiple, trailing_after=after, atr_window=window)


def break_even(profit: float, *, offset: float = 0.0) -> PolicyPart:
    """Return: the stop moves to the entry price plus `offset` once the profit has reached `profit`."""
    return part("break_even", break_even=profit, break_even_offset=offset)


def time_limit(bars: int) -> PolicyPart:
    """Return: a position is closed after so many bars."""
    return part("time_limit", max_bars=bars)


def early_cut(bars: int, *, below: float) -> PolicyPart:
    """Return: a position that was never `below` in profit after so many bars is closed."""
    return part("early_cut", cut_after=bars, cut_below=below)


def session(begins: str, ends: str) -> PolicyPart:
    """Return: positions are open between two times of the day alone, "HH:MM", UTC."""
    return part("session", session=(begins, ends))


def flat_weekend() -> PolicyPart:
    """Return: nothing is held from Saturday to Monday, UTC."""
    return part("flat_weekend", flat_weekend=True)

"""Drift: what an account holds beyond the books, by asset, within a tolerance.

The reconciler notes it, and a drift that was not there before is evidence about an order whose answer is unknown.
"""

from collections.abc import Mapping
from decimal import Decimal

from atb.decimals import exact
from atb.domain.venue import Balance
from atb.live.execution.book import Book
from atb.live.execution.desk_state import DeskState
from atb.live.execution.execution_reports import owned

Amounts = dict[str, Decimal]
TOLERANCE = Decimal("1e-6")
"""Default relative tolerance, as a fraction of the booked amount: rounding of fees, small interest."""


def booked(book: Book) -> Amounts:
    """Return the booked amount of each traded asset: cash in quote, positions and their dust in base."""
    expected = {book.portfolio.symbols[0].quote: exact(book.cash)}
    for slot, plan in enumerate(book.portfolio.plans):
        held = owned(book.slot(slot))
        expected[plan.symbol.base] = expected.get(plan.symbol.base, Decimal(0)) + held
    return expected


def tolerance_of(book: Book, asset: str, amount: Decimal, *, relative: Decimal = TOLERANCE) -> Decimal:
    """Return the tolerance for an amount of an asset: relative, and nearly one lot of what is traded."""
    lots = [plan.instrument.lot for plan in book.portfolio.plans if plan.symbol.base == asset]
    return max([abs(amount) * relative, Decimal("1e-6"), *(lot * Decimal("0.99") for lot in lots)])


def drifts(
    book: Book, desk_state: DeskState, balances: Mapping[str, Balance], *, relative: Decimal = TOLERANCE
) -> dict[str, tuple[Decimal, Decimal]]:
    """Return by asset the booked amount, and what the account has beyond it and its surplus: 0 within the tolerance."""
    found = {}
    for asset, amount in booked(book).items():
        drift = total(balances, asset) - desk_state.surplus.get(asset, Decimal(0)) - amount
        found[asset] = (
            amount,
            drift if abs(drift) > tolerance_of(book, asset, amount, relative=relative) else Decimal(0),
        )
    return found


def free(balances: Mapping[str, Balance], asset: str) -> Decimal:
    """Return the free amount of an asset on an account."""
    return balances[asset].free if asset in balances else Decimal(0)


def total(balances: Mapping[str, Balance], asset: str) -> Decimal:
    """Return an account's free and locked amount of an asset together."""
    return balances[asset].total if asset in balances else Decimal(0)

"""The account beside the books: every difference is an audited event, and a symbol where something is not ours gets no entries.

Nothing is ever closed or taken over because of a difference: who made it knows why.
"""

from collections.abc import Mapping
from decimal import Decimal

import numpy as np

from atb.domain import Symbol
from atb.domain.ports import Broker
from atb.domain.venue import Balance, OrderReport
from atb.live.blotter import Blotter
from atb.live.book import Book
from atb.live.memory import DeskMemory
from atb.live.step import Notice, Step

Amounts = dict[str, Decimal]
_PREFIX = "atb-"
_UNRECORDED = "unrecorded"


class Synchroniser:
    """Compares balances and open orders of a venue with the books.

    Parameters
    ----------
    broker, book, blotter, memory
        The venue, and what we believe.
    tolerance
        Difference that is none, as a share of what the books hold of an asset: rounding of fees, interest of a cent.
    accepting
        Whether the first comparison takes what the account has beyond the books as none of our business.
    """

    def __init__(
        self,
        broker: Broker,
        book: Book,
        blotter: Blotter,
        *,
        memory: DeskMemory,
        tolerance: Decimal = Decimal("1e-6"),
        accepting: bool = False,
    ) -> None:
        self._broker, self._book, self._blotter, self._memory = broker, book, blotter, memory
        self._tolerance, self._accepting = tolerance, accepting
        self.drift: Amounts = {}
        self.ours_open = 0  # orders of ours that the venue had open when it was last asked

    async def compare(self, step: Step) -> bool:
        """Compare and note what differs; returns False, and compares nothing, while an answer or an execution is missing.

        Raises
        ------
        VenueError
            If the venue cannot be asked.
        """
        if any(one.unknown or one.owed for one in self._blotter):
            return False
        self.ours_open = 0
        for symbol in self._book.portfolio.symbols:
            for report in await self._broker.open_orders(symbol):
                self._order(report, step)
                self.ours_open += report.client_id.startswith(_PREFIX)
        balances = await self._broker.balances()
        if self._accepting or not self._memory.surplus:
            self.accept(balances)
            surplus = {asset: str(amount) for asset, amount in self._memory.surplus.items()}
            step.notices.append(Notice("accepted", {"surplus": surplus}, "warning" if self._accepting else "info"))
            self._accepting = False
            return True
        self._balances(balances, step)
        return True

    def accept(self, balances: Mapping[str, Balance]) -> None:
        """Take what the account has beyond the books as none of our business, and lift quarantines.

        Of itself, at an account's very first comparison, this does not lift what an order in our own name caused that no journal
        knows: a position of a lost database stands behind it, and someone has to say that it may be forgotten.
        """
        expected = self._expected()
        self._memory.surplus = {asset: _total(balances, asset) - amount for asset, amount in expected.items()}
        kept = (
            {} if self._accepting else {one: why for one, why in self._memory.quarantine.items() if why == _UNRECORDED}
        )
        self._memory.quarantine.clear()
        self._memory.quarantine.update(kept)
        self.drift.clear()

    def _expected(self) -> Amounts:
        """Return what the books say the account holds of each asset that is traded."""
        quote = self._book.portfolio.symbols[0].quote
        expected = {quote: Decimal(repr(self._book.cash))}
        for slot, plan in enumerate(self._book.portfolio.plans):
            held = owned(self._book.slot(slot))
            expected[plan.symbol.base] = expected.get(plan.symbol.base, Decimal(0)) + held
        return expected

    def _balances(self, balances: Mapping[str, Balance], step: Step) -> None:
        for asset, amount in self._expected().items():
            surplus = self._memory.surplus.get(asset, Decimal(0))
            found = _total(balances, asset)
            drift = found - surplus - amount
            slack, told = self._slack(asset, amount), self.drift.get(asset, Decimal(0))
            if abs(drift) <= slack:
                drift = Decimal(0)
            if bool(drift) == bool(told) and abs(drift - told) <= slack:
                continue  # the same as before, but for rounding
            detail = {"asset": asset, "books": str(amount), "account": str(found - surplus), "drift": str(drift)}
            step.notices.append(Notice("drift", detail, "warning" if drift else "info"))
            self._quarantine(asset, drift)
            self.drift[asset] = drift

    def _slack(self, asset: str, amount: Decimal) -> Decimal:
        """Return the difference that is none: the tolerance, and less than a lot of what is traded."""
        lots = [plan.instrument.lot for plan in self._book.portfolio.plans if plan.symbol.base == asset]
        return max([abs(amount) * self._tolerance, Decimal("1e-6"), *(lot * Decimal("0.99") for lot in lots)])

    def _quarantine(self, asset: str, drift: Decimal) -> None:
        """Bar entries where the base asset differs; money in quote comes and goes as its owner likes."""
        for symbol in (str(one) for one in self._book.portfolio.symbols if one.base == asset):
            if drift:
                self._memory.quarantine.setdefault(symbol, "drift")
            elif self._memory.quarantine.get(symbol) == "drift":
                del self._memory.quarantine[symbol]

    def _order(self, report: OrderReport, step: Step) -> None:
        """Note an open order that is not ours, once; one in our name that is in no journal is an error."""
        name = f"{report.symbol}:{report.client_id or report.exchange_id}"
        if self._blotter.get(report.client_id) is not None or name in self._memory.strangers:
            return
        self._memory.strangers.append(name)
        ours = report.client_id.startswith(_PREFIX)
        self._memory.quarantine.setdefault(str(report.symbol), _UNRECORDED if ours else "stranger")
        detail = {"client_id": report.client_id, "symbol": str(report.symbol), "side": report.side, "type": report.type}
        step.notices.append(
            Notice("unrecorded_order" if ours else "stranger_order", detail, "error" if ours else "warning")
        )


def owned(record: np.void) -> Decimal:
    """Return what a slot owns of its base asset, dust included."""
    return Decimal(repr(float(record["quantity"]))) + Decimal(repr(float(record["dust"])))


def _total(balances: Mapping[str, Balance], asset: str) -> Decimal:
    return balances[asset].total if asset in balances else Decimal(0)


def assets(symbols: tuple[Symbol, ...]) -> tuple[str, ...]:
    """Return every asset of the symbols, each once."""
    return tuple(dict.fromkeys(asset for symbol in symbols for asset in (symbol.base, symbol.quote)))

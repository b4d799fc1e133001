"""The account beside the books: every difference is an audited event, and a symbol where something is not ours gets no entries.

Nothing is ever closed or taken over because of a difference: who made it knows why. Where a position is not there any more,
because somebody sold or moved it, nothing of what is missing is sold again, whatever comes to the account later; the books keep
it until someone accepts the account as it is, or closes everything: then it is written off at the last close.
"""

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Literal

from atb.decimals import exact
from atb.domain import Symbol
from atb.domain.orders import CLIENT_ID_PREFIX
from atb.domain.ports import Broker
from atb.domain.venue import Balance, OrderReport
from atb.live.execution.execution_reports import Hearing, owned
from atb.live.journal.step import Notice, Step

Amounts = dict[str, Decimal]
Look = Callable[[], Awaitable[None]]
_UNRECORDED = "unrecorded"


class Synchroniser:
    """Compares balances and open orders of a venue with the books.

    Parameters
    ----------
    broker, hearing
        The venue, and what we believe.
    tolerance
        Difference that is none, as a share of what the books hold of an asset: rounding of fees, interest of a cent.
    accepting
        Whether the first comparison takes the account as it is: what it has beyond the books is none of our business, and what
        it lacks of a position is written off.
    """

    def __init__(
        self, broker: Broker, hearing: Hearing, *, tolerance: Decimal = Decimal("1e-6"), accepting: bool = False
    ) -> None:
        self._broker, self._hearing = broker, hearing
        self._book, self._blotter, self._memory = hearing.book, hearing.blotter, hearing.memory
        self._tolerance, self._accepting = tolerance, accepting
        self.drift: Amounts = {}
        self.ours_open = 0  # orders of ours that the venue had open when it was last asked

    async def compare(self, step: Step, look: Look | None = None) -> bool:
        """Compare and note what differs; returns False, and compares nothing, while an answer or an execution is missing.

        Parameters
        ----------
        look
            Asks for executions: done before a difference is believed, since one may have come a moment ago.

        Raises
        ------
        VenueError
            If the venue cannot be asked.
        """
        if self._waits():
            return False
        self.ours_open = 0
        for symbol in self._book.portfolio.symbols:
            for report in await self._broker.open_orders(symbol):
                self._order(report, step)
                self.ours_open += report.client_id.startswith(CLIENT_ID_PREFIX)
        balances = await self._broker.balances()
        if self._accepting or not self._memory.surplus:
            self.accept(balances, step)
            self._accepting = False
            return True
        if look is not None and any(self._is_news(asset, *found) for asset, found in self._drifts(balances).items()):
            await look()
            if self._waits():
                return False
            balances = await self._broker.balances()
        self._balances(balances, step)
        return True

    def _waits(self) -> bool:
        return any(one.unsettled for one in self._blotter)

    def accept(self, balances: Mapping[str, Balance], step: Step) -> None:
        """Take what the account has beyond the books as none of our business, and lift quarantines.

        Of itself, at an account's very first comparison, this does not lift what an order in our own name caused that no journal
        knows: a position of a lost database stands behind it, and someone has to say that it may be forgotten.
        """
        if self._memory.surplus:
            self.write_off(balances, step)
        expected, kept = self._expected(), {}
        if not self._accepting:
            kept = {one: why for one, why in self._memory.quarantine.items() if why == _UNRECORDED}
        self._memory.surplus = {asset: _total(balances, asset) - amount for asset, amount in expected.items()}
        self._memory.quarantine.clear()
        self._memory.quarantine.update(kept)
        self._memory.present.clear()
        self.drift.clear()
        surplus = {asset: str(amount) for asset, amount in self._memory.surplus.items()}
        short = any(amount < -self._slack(asset, expected[asset]) for asset, amount in self._memory.surplus.items())
        severity: Literal["info", "warning", "error"] = "warning" if self._accepting else "error" if short else "info"
        step.notices.append(Notice("accepted", {"surplus": surplus}, severity))

    def write_off(self, balances: Mapping[str, Balance], step: Step) -> None:
        """Book as sold what the account lacks of positions."""
        for asset in self._expected():
            for slot, held, there in self._missing(asset, _total(balances, asset)):
                self._hearing.write_off(slot, held - there, step)

    def _expected(self) -> Amounts:
        """Return what the books say the account holds of each asset that is traded."""
        quote = self._book.portfolio.symbols[0].quote
        expected = {quote: exact(self._book.cash)}
        for slot, plan in enumerate(self._book.portfolio.plans):
            held = owned(self._book.slot(slot))
            expected[plan.symbol.base] = expected.get(plan.symbol.base, Decimal(0)) + held
        return expected

    def _drifts(self, balances: Mapping[str, Balance]) -> dict[str, tuple[Decimal, Decimal]]:
        """Return by asset what the books say and what the account has beyond it, 0 where that is a rounding."""
        found = {}
        for asset, amount in self._expected().items():
            drift = _total(balances, asset) - self._memory.surplus.get(asset, Decimal(0)) - amount
            found[asset] = amount, drift if abs(drift) > self._slack(asset, amount) else Decimal(0)
        return found

    def _is_news(self, asset: str, amount: Decimal, drift: Decimal) -> bool:
        """Tell whether a drift is not the one that was told already, but for rounding."""
        told = self.drift.get(asset, Decimal(0))
        return bool(drift) != bool(told) or abs(drift - told) > self._slack(asset, amount)

    def _balances(self, balances: Mapping[str, Balance], step: Step) -> None:
        for asset, (amount, drift) in self._drifts(balances).items():
            if not self._is_news(asset, amount, drift):
                continue
            detail = {"asset": asset, "books": str(amount), "account": str(amount + drift), "drift": str(drift)}
            step.notices.append(Notice("drift", detail, "warning" if drift else "info"))
            self._quarantine(asset, drift)
            self.drift[asset] = drift
            for slot, held, there in self._missing(asset, _total(balances, asset)):
                self._miss(slot, held, there, step=step)

    def _missing(self, asset: str, there: Decimal) -> list[tuple[int, Decimal, Decimal]]:
        """Return the slots whose position is not all there, with what it should be and what is; the first gets its own first.

        What is on the account counts as the positions' first: its owner may have taken away what was theirs beside them. What
        was missing once stays so: coins that come later are their owner's.
        """
        found, left = [], max(there, Decimal(0))
        for slot, plan in enumerate(self._book.portfolio.plans):
            held = owned(self._book.slot(slot)) if plan.symbol.base == asset else Decimal(0)
            has = min(held, left, self._memory.present.get(slot, held))
            left -= has
            if held - has > self._slack(asset, held):
                found.append((slot, held, has))
        return found

    def _miss(self, slot: int, held: Decimal, there: Decimal, *, step: Step) -> None:
        """Remember that a position is not all there, so that nothing is sold that somebody else has put there since."""
        symbol = str(self._book.portfolio.plans[slot].symbol)
        if self._memory.present.get(slot) == there:
            return
        self._memory.present[slot] = there
        self._memory.quarantine[symbol] = "missing"
        detail = {"slot": slot, "symbol": symbol, "books": str(held), "account": str(there)}
        step.notices.append(Notice("missing", detail, "error"))

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
        ours = report.client_id.startswith(CLIENT_ID_PREFIX)
        self._memory.quarantine.setdefault(str(report.symbol), _UNRECORDED if ours else "stranger")
        detail = {"client_id": report.client_id, "symbol": str(report.symbol), "side": report.side, "type": report.type}
        step.notices.append(
            Notice("unrecorded_order" if ours else "stranger_order", detail, "error" if ours else "warning")
        )


def _total(balances: Mapping[str, Balance], asset: str) -> Decimal:
    return balances[asset].total if asset in balances else Decimal(0)


def assets(symbols: tuple[Symbol, ...]) -> tuple[str, ...]:
    """Return every asset of the symbols, each once."""
    return tuple(dict.fromkeys(asset for symbol in symbols for asset in (symbol.base, symbol.quote)))

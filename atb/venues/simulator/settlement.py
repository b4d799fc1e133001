"""Settles executions: what moves between the balances, and what was set aside for an order."""

from collections.abc import Mapping
from decimal import Decimal

from atb.venues.simulator.accounts import Account
from atb.venues.simulator.configuration import ExchangeConfig
from atb.venues.simulator.fees import BNB, Fees
from atb.venues.simulator.matching import exchange_price, rounded_down, rounded_up
from atb.venues.simulator.orders import ZERO, Order
from atb.venues.simulator.pretrade import paying_asset
from atb.venues.simulator.tape import Tape


class Settlement:
    """The balances behind the orders.

    Parameters
    ----------
    account, tapes
        The balances, and the prices by symbol.
    config, fees
        The exchange's costs.
    """

    def __init__(self, account: Account, tapes: Mapping[str, Tape], *, config: ExchangeConfig, fees: Fees) -> None:
        self._account, self._tapes, self._config, self._fees = account, tapes, config, fees

    def set_aside(self, order: Order, amount: Decimal) -> None:
        """Lock an amount for an order."""
        if amount:
            self._account.lock(self.paying_asset(order), amount)
            order.locked += amount

    def release(self, order: Order) -> None:
        """Unlock what is set aside for an order."""
        if order.locked:
            self._account.unlock(self.paying_asset(order), order.locked)
            order.locked = ZERO

    def can_pay(self, order: Order, quantity: Decimal, price: Decimal) -> bool:
        """Return True if the account can pay a buy that slipped beyond the amount set aside."""
        if order.sells:
            return True
        value = rounded_up(quantity * price)
        return value + self._fees.reserve(value) <= order.locked + self._account.free(self.paying_asset(order))

    def settle(self, order: Order, quantity: Decimal, value: Decimal, *, maker: bool) -> tuple[Decimal, str]:
        """Update the balances for an execution, the locked amount first; return the commission and its asset."""
        pair = self._tapes[order.symbol].rules.symbol
        bnb = (self._account.free(BNB), self._bnb_price())
        commission, asset = self._fees.commission(
            pair, sells=order.sells, quantity=quantity, value=value, maker=maker, bnb=bnb
        )
        used = order.locked if quantity == order.rest else rounded_down(order.locked * quantity / order.rest)
        self._account.unlock(self.paying_asset(order), used)
        order.locked -= used
        sign = -1 if order.sells else 1
        for moved, amount in sorted(
            ((pair.base, sign * quantity), (pair.quote, -sign * value)), key=lambda row: row[1]
        ):
            self._account.add(moved, amount)
        self._account.add(asset, -commission)
        return commission, asset

    def paying_asset(self, order: Order) -> str:
        """Return the asset that an order gives away."""
        return paying_asset(order, self._tapes[order.symbol])

    def _bnb_price(self) -> Decimal:
        """Return the price of BNB in quote."""
        tape = next((tape for tape in self._tapes.values() if tape.rules.symbol.base == BNB), None)
        return exchange_price(tape.price) if tape is not None else self._config.bnb_price

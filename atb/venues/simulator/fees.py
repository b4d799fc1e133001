"""Commission of an execution and the asset it is paid in."""

from decimal import Decimal
from math import prod

from atb.domain import Symbol
from atb.engine.policy import ExecutionModel
from atb.venues.simulator.configuration import FeeIn
from atb.venues.simulator.matching import rounded_down, rounded_up

BNB = "BNB"


class Fees:
    """Commission rates and the asset they are paid in.

    Parameters
    ----------
    execution
        Taker and maker rates.
    paid_in
        `base`: buyers pay out of the base they receive, sellers out of the quote. `quote`: both in quote. `bnb`: in BNB.
    exact
        Keep commissions as the kernel computes them, without a cut to 8 decimals: in quote in binary floating point; in base in
        decimals, of which a balance is the sum.
    """

    def __init__(self, execution: ExecutionModel, paid_in: FeeIn, *, exact: bool = False) -> None:
        self.paid_in, self._exact = paid_in, exact
        self.taker = Decimal(str(execution.fee))
        self.maker = self.taker if execution.maker_fee is None else Decimal(str(execution.maker_fee))

    def rate(self, *, maker: bool) -> Decimal:
        """Return the rate as a fraction of value."""
        return self.maker if maker else self.taker

    def reserve(self, value: Decimal) -> Decimal:
        """Return the fee that a buy of this value must set aside, in quote."""
        return rounded_up(value * max(self.taker, self.maker)) if self.paid_in == "quote" else Decimal(0)

    def commission(
        self, pair: Symbol, *, sells: bool, quantity: Decimal, value: Decimal, maker: bool, bnb: tuple[Decimal, Decimal]
    ) -> tuple[Decimal, str]:
        """Return the commission of an execution and its asset.

        Parameters
        ----------
        pair, sells, quantity, value, maker
            The execution; quantity in base, value in quote.
        bnb
            Free BNB and its price; if it is not enough, the fee is taken from the received asset.
        """
        rate = self.rate(maker=maker)
        free, price = bnb
        if (
            self.paid_in == "bnb"
            and BNB not in {pair.base, pair.quote}
            and free >= (dear := self._in_bnb(rate, quantity, value / quantity, price=price))
        ):
            return dear, BNB
        if sells or self.paid_in == "quote":
            return self._cut(rate, quantity, value / quantity), pair.quote
        return quantity * rate if self._exact else self._cut(rate, quantity), pair.base

    def _in_bnb(self, rate: Decimal, *value: Decimal, price: Decimal) -> Decimal:
        """Return a fee in BNB: rate times a value's factors over BNB's price in quote."""
        paid = self._cut(rate, *value) / price
        return paid if self._exact else rounded_down(paid)

    def _cut(self, rate: Decimal, *amount: Decimal) -> Decimal:
        """Return rate times a product, cut to 8 decimals; if exact, in floats and in the kernel's order of factors."""
        if self._exact:
            return Decimal(repr(prod([float(factor) for factor in amount]) * float(rate)))
        return rounded_down(prod(amount) * rate)

"""What an execution costs, and in which asset it is paid."""

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
        Whether commissions are left as the kernel computes them, in binary floating point.
    """

    def __init__(self, execution: ExecutionModel, paid_in: FeeIn, *, exact: bool = False) -> None:
        self.paid_in, self._exact = paid_in, exact
        self.taker = Decimal(str(execution.fee))
        self.maker = self.taker if execution.maker_fee is None else Decimal(str(execution.maker_fee))

    def rate(self, *, maker: bool) -> Decimal:
        """Return the rate as a fraction of value."""
        return self.maker if maker else self.taker

    def reserve(self, value: Decimal) -> Decimal:
        """Return what a buy of this value must set aside for its fee, in quote."""
        return rounded_up(value * max(self.taker, self.maker)) if self.paid_in == "quote" else Decimal(0)

    def commission(
        self, pair: Symbol, *, sells: bool, quantity: Decimal, value: Decimal, maker: bool, bnb: tuple[Decimal, Decimal]
    ) -> tuple[Decimal, str]:
        """Return the commission of an execution and its asset.

        Parameters
        ----------
        pair, sells, quantity, value, maker
            What was executed; quantity in base, value in quote.
        bnb
            Free BNB and its price: where that is not enough, what is received pays.
        """
        rate = self.rate(maker=maker)
        free, price = bnb
        if (
            self.paid_in == "bnb"
            and BNB not in {pair.base, pair.quote}
            and free >= (dear := rounded_down(value * rate / price))
        ):
            return dear, BNB
        if sells or self.paid_in == "quote":
            return self._cut(rate, quantity, value / quantity), pair.quote
        return self._cut(rate, quantity), pair.base

    def _cut(self, rate: Decimal, *amount: Decimal) -> Decimal:
        """Return the commission on a product, cut to 8 decimals unless it is to be the kernel's, in its order of factors."""
        if self._exact:
            return Decimal(repr(prod([float(factor) for factor in amount]) * float(rate)))
        return rounded_down(prod(amount) * rate)

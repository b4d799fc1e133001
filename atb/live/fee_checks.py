"""Preflight's check of fees: what a promoted backtest assumed against what the account pays in the symbol."""

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from atb.checks import Check
from atb.decimals import exact
from atb.domain.venue import Balance, Commissions

if TYPE_CHECKING:
    from atb.live.plan import Plan

_TODO = "Backtest with execution {wanted}, and promote that"


def fee_check(plan: "Plan", pays: Commissions | None, balances: Mapping[str, Balance]) -> Check:
    """Check that a plan's fees are at least the account's, and are paid in the asset that the venue takes.

    A buy's fee comes out of the base that it receives, or out of a third asset (BNB) of which the account has some; the books keep
    a fee in a third asset by its value in quote, as a backtest without `fee_in_base` does.

    Parameters
    ----------
    pays
        The account's rates; None where the venue does not tell, which is said and passes.
    """
    name = f"fees of {plan.manifest.name}"
    if pays is None:
        return Check.of(name, True, "this venue does not tell what the account pays")
    third = third_asset_of(plan, pays, balances)
    taker, maker = (pays.taker, pays.maker) if third is None else (pays.third_taker, pays.third_maker)
    costs = plan.execution
    assumed = exact(costs.fee), exact(costs.fee if costs.maker_fee is None else costs.maker_fee)
    where = third or f"{plan.symbol.base} for a buy"
    expects = f"{plan.symbol.base} for a buy" if costs.fee_in_base else "quote, or a third asset by its value"
    found = (
        f"the account pays taker {_percent(taker)}, maker {_percent(maker)}, in {where}; "
        f"tested with taker {_percent(assumed[0])}, maker {_percent(assumed[1])}, in {expects}"
    )
    right = assumed[0] >= taker and assumed[1] >= maker and costs.fee_in_base == (third is None)
    wanted = f"fee={_plain(taker)}, maker_fee={_plain(maker)}, fee_in_base={third is None}"
    return Check.of(name, right, found, _TODO.format(wanted=wanted))


def third_asset_of(plan: "Plan", pays: Commissions, balances: Mapping[str, Balance]) -> str | None:
    """Return the asset, neither base nor quote, that the account pays a plan's fees in; None where it has none of it."""
    asset = pays.third_asset
    if asset is None or asset in {plan.symbol.base, plan.symbol.quote}:
        return None
    return asset if asset in balances and balances[asset].free > 0 else None


def _percent(rate: Decimal) -> str:
    return f"{_plain(rate * 100)} %"


def _plain(number: Decimal) -> str:
    """Return a number without trailing zeros or an exponent."""
    return f"{number.normalize():f}"

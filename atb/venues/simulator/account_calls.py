"""Binance's account requests: balances, trades, commissions, order limits and key permissions."""

from typing import TYPE_CHECKING, Any

from atb.venues.simulator import answers
from atb.venues.simulator.answers import eight_decimals
from atb.venues.simulator.orders import Trade
from atb.venues.simulator.requests import Params, integer, tape_of

if TYPE_CHECKING:
    from atb.venues.simulator.exchange import Exchange

Body = dict[str, Any]

_CREATED_MS = 1_500_000_000_000


def account(exchange: "Exchange", params: Params) -> Body:
    """Return balances and commission rates."""
    fees, held = exchange.trading.fees, exchange.balances
    maker, taker = eight_decimals(fees.maker), eight_decimals(fees.taker)
    shown = [
        asset
        for asset in held.assets()
        if params.get("omitZeroBalances") != "true" or held.free(asset) or held.locked(asset)
    ]
    return {
        "makerCommission": int(fees.maker * 10_000),
        "takerCommission": int(fees.taker * 10_000),
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {"maker": maker, "taker": taker, "buyer": eight_decimals(0), "seller": eight_decimals(0)},
        "canTrade": True,
        "canWithdraw": True,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": held.updated_ms,
        "accountType": "SPOT",
        "balances": answers.balances_body(exchange, shown),
        "permissions": ["SPOT"],
        "uid": 354_937_868,
    }


def my_trades(exchange: "Exchange", params: Params) -> list[Body]:
    """Return the account's trades of a symbol, oldest first."""
    symbol = tape_of(exchange, params).symbol
    order_id, first = integer(params, "orderId"), integer(params, "fromId")
    start, end, limit = (integer(params, name) for name in ("startTime", "endTime", "limit"))

    def wanted(trade: Trade) -> bool:
        matches = trade.symbol == symbol and (order_id is None or trade.order_id == order_id)
        timely = (start is None or trade.time_ms >= start) and (end is None or trade.time_ms <= end)
        return matches and timely and (first is None or trade.id >= first)

    found = [trade for trade in exchange.book.trades if wanted(trade)]
    most = min(500 if limit is None else limit, 1_000)
    part = found[:most] if first is not None or start is not None else found[-most:]
    return [answers.trade_body(trade) for trade in part]


def commission(exchange: "Exchange", params: Params) -> Body:
    """Return the commission rates of a symbol."""
    fees, none = exchange.trading.fees, dict.fromkeys(("maker", "taker", "buyer", "seller"), eight_decimals(0))
    in_bnb = fees.paid_in == "bnb"
    return {
        "symbol": tape_of(exchange, params).symbol,
        "standardCommission": none | {"maker": eight_decimals(fees.maker), "taker": eight_decimals(fees.taker)},
        "specialCommission": none,
        "taxCommission": none,
        "discount": {
            "enabledForAccount": in_bnb,
            "enabledForSymbol": in_bnb,
            "discountAsset": "BNB",
            "discount": "1.00000000",
        },
    }


def order_limits(exchange: "Exchange", _params: Params) -> list[dict[str, object]]:
    """Return the order limits and how much of each is used."""
    return exchange.usage.rate_limits(exchange.now_ms(), orders_only=True)


def restrictions(exchange: "Exchange", params: Params) -> Body:
    """Return the permissions of the key that signed the request."""
    key = next(key for key in exchange.config.keys if key.name == params["key"])
    refused = (
        "enableInternalTransfer", "enableMargin", "enableFutures", "permitsUniversalTransfer", "enableVanillaOptions",
        "enablePortfolioMarginTrading", "enableFixApiTrade", "enableFixReadOnly",
    )  # fmt: skip
    return {
        "ipRestrict": key.ip_restricted,
        "createTime": _CREATED_MS,
        "enableReading": True,
        "enableWithdrawals": key.withdraw,
        "enableSpotAndMarginTrading": key.trade,
        **dict.fromkeys(refused, False),
    }

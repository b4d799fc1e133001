"""Trading rules in exact decimals: what would be -1013 at the venue is refused here, and nothing is sent."""

from decimal import Decimal

import pytest

from atb.domain import Symbol
from atb.domain.venue import OrderList
from atb.venues.broker.capabilities import VENUES, binance_capabilities
from atb.venues.broker.rules import Grid, binance_rules, plain, unified_rules
from tests.venues.broker.fake_exchange import BTC, an_order, binance, exchange_info, in_loop

RULES = binance_rules(BTC, exchange_info()["symbols"][0])
LAST = Decimal(50_000)


def test_binances_filters_become_the_instrument_that_the_kernel_sizes_with():
    assert RULES.instrument.to_json() == {
        "source": "as the venue gives them now",
        "symbol": "BTC/USDT", "tick": "0.01", "lot": "0.00001", "min_quantity": "0.00001", "min_notional": "5",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (an_order(), None),
        (an_order(quantity=Decimal("0.00010")), None),
        (an_order(quantity=Decimal("0.000100000")), None),
        (an_order(quantity=Decimal("0.00009")), "local:notional"),
        (an_order(quantity=Decimal("0.000105")), "local:lot_size"),
        (an_order(quantity=Decimal(0)), "local:lot_size"),
        (an_order(quantity=Decimal("-0.01")), "local:lot_size"),
        (an_order(quantity=Decimal(9_001)), "local:lot_size"),
        (an_order(quantity=Decimal(101)), "local:market_lot_size"),
        (an_order(kind="limit", quantity=Decimal(101)), None),
        (an_order(kind="limit", quantity=Decimal(181)), "local:notional"),
        (an_order(kind="limit", price=Decimal("50000.005")), "local:price_filter"),
        (an_order(kind="limit", price=Decimal("0.001")), "local:price_filter"),
        (an_order(kind="limit", price=Decimal(1_000_001)), "local:price_filter"),
        (an_order(kind="limit", price=None), "local:price_filter"),
        (an_order("stop", "stop", stop_price=None), "local:price_filter"),
        (an_order("stop", "stop", stop_price=Decimal("45000.001")), "local:price_filter"),
        (an_order(kind="limit", price=Decimal(9_999)), None),  # how far a price may lie from the market the venue says
        (an_order("target", "limit", price=Decimal("250000.01")), None),
    ],
)
def test_each_filter_refuses_what_breaks_it_and_nothing_else(order, code):
    found = RULES.refusal(order, LAST)
    assert (found[0] if found else None) == code


def test_the_least_and_the_most_are_allowed():
    grid = Grid(Decimal(1), Decimal(2), Decimal(4))
    assert [bool(grid.refuses(Decimal(value))) for value in range(1, 6)] == [True, False, False, False, True]


def test_without_a_last_price_what_needs_one_is_left_to_the_venue():
    assert RULES.refusal(an_order(quantity=Decimal("0.00009"))) is None
    assert RULES.refusal(an_order(kind="limit", price=Decimal(9_999))) is None


def test_a_minimum_that_does_not_hold_at_market_is_not_applied_there():
    info = exchange_info()["symbols"][0]
    info["filters"][-1] |= {"applyMinToMarket": False, "applyMaxToMarket": True, "maxNotional": "1000"}
    rules = binance_rules(BTC, info)
    assert rules.refusal(an_order(quantity=Decimal("0.00009")), LAST) is None
    assert rules.refusal(an_order(quantity=Decimal("0.03")), LAST)[0] == "local:notional"


def test_older_filters_are_understood():
    info = exchange_info()["symbols"][0]
    info["filters"] = [
        {"filterType": "MIN_NOTIONAL", "minNotional": "10.0", "applyToMarket": False},
        {"filterType": "PERCENT_PRICE", "multiplierUp": "1.1", "multiplierDown": "0.9"},
    ]
    info |= {"quoteAssetPrecision": 8, "baseAssetPrecision": 7}
    rules = binance_rules(BTC, info)
    assert (rules.instrument.tick, rules.instrument.lot) == (Decimal("1E-8"), Decimal("1E-7"))
    assert rules.refusal(an_order(quantity=Decimal("0.00001")), LAST) is None
    assert rules.refusal(an_order(kind="limit", price=Decimal(44_999)), LAST) is None
    assert rules.refusal(an_order(kind="limit", quantity=Decimal("0.0001")), LAST)[0] == "local:notional"


@pytest.mark.parametrize(
    ("mode", "precision"),
    [
        ("tick_size", {"price": "0.01", "amount": 1e-05}),
        ("decimal_places", {"price": 2, "amount": 5}),
        ("significant_digits", {"price": "7", "amount": "5"}),
    ],
)
def test_ccxts_market_of_any_exchange_becomes_rules(mode, precision):
    limits = {"amount": {"min": "0.0001", "max": None}, "cost": {"min": 1.0}, "price": {}}
    rules = unified_rules(
        Symbol.parse("BTC/USD"),
        {"id": "BTC-USD", "precision": precision, "limits": limits},
        mode=mode,
        last=Decimal(65_123),
    )
    assert rules.instrument.to_json() == {
        "symbol": "BTC/USD",
        "tick": "0.01",
        "lot": "0.00001",
        "min_quantity": "0.0001",
        "min_notional": "1",
        "source": "as the venue gives them now",
    }
    assert (rules.price.step, rules.quantity.step) == (Decimal("0.01"), Decimal("0.00001"))  # fmt: skip


def test_what_an_exchange_does_not_say_is_no_rule():
    rules = unified_rules(BTC, {"id": "BTC-USD", "precision": {}, "limits": {}}, mode="tick_size", last=LAST)
    assert rules.instrument.tick == Decimal(1)
    assert "not told" in rules.instrument.source
    assert rules.refusal(an_order(quantity=Decimal("0.123456789"))) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0.00001000", "0.00001"),
        ("1E-8", "0.00000001"),
        ("1E+3", "1000"),
        ("100", "100"),
        ("0.0", "0"),
        ("50000.10", "50000.1"),
    ],
)
def test_numbers_are_written_with_all_digits_and_no_exponent(value, text):
    assert plain(Decimal(value)) == text


@in_loop
async def test_what_a_rule_refuses_is_never_sent():
    wrong = Decimal("0.000105")
    async with binance() as (broker, forged):
        asked = len(forged.seen)
        answers = [
            await broker.place(an_order(quantity=wrong)),
            await broker.check(an_order(quantity=wrong)),
            await broker.replace(an_order("stop", "stop"), an_order("stop", "stop", quantity=wrong)),
            await broker.place(
                OrderList(
                    "atb-l0", "opo", (an_order(kind="limit"), an_order("stop", "stop", stop_price=Decimal("0.001")))
                )
            ),
        ]
        assert [(answer.outcome, answer.code) for answer in answers] == [("rejected", "local:lot_size")] * 3 + [
            ("rejected", "local:price_filter")
        ]
        assert len(forged.seen) == asked


def test_what_a_symbol_does_not_say_it_does_not_allow():
    venue = VENUES["binance"]
    nothing = binance_capabilities(venue, {})
    assert (nothing.lists, nothing.stops, nothing.replaces, nothing.status) == (frozenset(), False, False, "closed")
    types = ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS"]
    allowed = {"ocoAllowed": True, "otoAllowed": True, "opoAllowed": True, "cancelReplaceAllowed": True}
    every = {"status": "TRADING", "orderTypes": types, **allowed}
    found = binance_capabilities(venue, every)
    assert (found.lists, found.stops, found.replaces, found.status) == ({"oco", "opo", "opoco"}, True, True, "trading")
    for name, left in (("otoAllowed", {"oco"}), ("opoAllowed", {"oco"}), ("ocoAllowed", {"opo"})):
        assert binance_capabilities(venue, every | {name: False}).lists == left
    assert binance_capabilities(venue, every | {"orderTypes": types[:3]}).lists == frozenset()
    assert binance_capabilities(venue, every | {"status": "CANCEL_ONLY"}).status == "cancel_only"
    assert binance_capabilities(venue, every | {"status": "BREAK"}).status == "closed"

"""The ledger: append-only, complete enough to explain every balance, and the same for the same requests."""

import json
from collections import defaultdict
from decimal import Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from atb.engine.policy import ExecutionModel
from atb.venues.simulator.configuration import BookDepth, Limits
from atb.venues.simulator.faults import ON_ORDERS, Fault
from atb.venues.simulator.orders import OPEN
from atb.venues.simulator.pretrade import paying_asset
from tests.bars import random_walk
from tests.seeds import examples
from tests.venues.simulator.client import HOUR, Asker, exchange_of

START = {"USDT": Decimal(1_000), "BTC": Decimal(5), "BNB": Decimal(1)}
MANY = Limits(weight=10**9, orders_10s=10**9, orders_day=10**9)
SIDES, KINDS = ("BUY", "SELL"), ("MARKET", "LIMIT", "LIMIT_MAKER", "STOP_LOSS", "TAKE_PROFIT", "STOP_LOSS_LIMIT")

orders = st.tuples(
    st.just("order"), st.sampled_from(SIDES), st.sampled_from(KINDS), st.integers(1, 4_000), st.integers(-300, 300),
    st.sampled_from(("GTC", "GTC", "IOC", "FOK")),
)  # fmt: skip
pairs = st.tuples(
    st.just("oco"), st.sampled_from(SIDES), st.integers(1, 3_000), st.integers(5, 300), st.integers(5, 300)
)
paying = st.tuples(
    st.just("opoco"), st.integers(1, 3_000), st.integers(-200, 100), st.integers(5, 300), st.integers(5, 300)
)
cancels = st.tuples(st.just("cancel"), st.integers(1, 30))
waits = st.tuples(st.just("wait"), st.integers(1, 5))
actions = st.lists(st.one_of(orders, orders, pairs, paying, cancels, waits, waits), max_size=40)


def priced(exchange, offset):
    """Return the present price moved by hundredths, as text."""
    return f"{max(exchange.tapes['BTCUSDT'].price + offset / 100 * 4, 1):.2f}"


def act(ask, action):
    """Do one drawn action; whether it is refused is the exchange's business."""
    exchange = ask.exchange
    what, *terms = action
    if what == "wait":
        ask.advance(exchange.now_ms() + terms[0] * HOUR // 2 - terms[0] % 2)
    elif what == "cancel":
        ask("DELETE", "order", symbol="BTCUSDT", orderId=terms[0])
    elif what == "order":
        side, kind, lots, offset, tif = terms
        params = {"timeInForce": tif} if kind in {"LIMIT", "STOP_LOSS_LIMIT"} else {}
        params |= {"price": priced(exchange, offset)} if "LIMIT" in kind else {}
        params |= {"stopPrice": priced(exchange, -offset)} if kind.startswith(("STOP", "TAKE")) else {}
        ask.order(side, kind, f"{lots / 1_000:.3f}", **params)
    else:
        lists(ask, what, terms)


def lists(ask, what, terms):
    exchange, pending = ask.exchange, what == "opoco"
    side, lots, up, down = ("SELL", terms[0], *terms[2:]) if pending else terms
    ends = [("Above", "LIMIT_MAKER", "Price", up), ("Below", "STOP_LOSS", "StopPrice", -down)]
    if side == "BUY":
        ends = [("Above", "STOP_LOSS", "StopPrice", up), ("Below", "LIMIT_MAKER", "Price", -down)]
    params = {"symbol": "BTCUSDT", "pendingSide" if pending else "side": side}
    for end, kind, price, offset in ends:
        name = f"pending{end}" if pending else end.lower()
        params |= {f"{name}Type": kind, f"{name}{price}": priced(exchange, offset)}
    if pending:
        params |= {"workingType": "LIMIT", "workingSide": "BUY", "workingTimeInForce": "GTC"}
        params |= {"workingPrice": priced(exchange, terms[1]), "workingQuantity": f"{lots / 1_000:.3f}"}
    else:
        params["quantity"] = f"{lots / 1_000:.3f}"
    ask("POST", f"orderList/{what}", **params)


def explained(entries, start):
    """Compute the balances from the ledger's trades and transfers alone."""
    held = defaultdict(Decimal, start)
    for entry in entries:
        if entry["kind"] == "trade":
            sign = 1 if entry["side"] == "BUY" else -1
            quantity, price = Decimal(entry["quantity"]), Decimal(entry["price"])
            held["BTC"] += sign * quantity
            held["USDT"] -= sign * quantity * price
            held[entry["commission_asset"]] -= Decimal(entry["commission"])
        elif entry["kind"] == "transfer":
            held[entry["asset"]] += Decimal(entry["amount"])
    return dict(held)


def reported(entries, start):
    """Return the balances that the ledger reported last, free and locked together."""
    balances = dict(start)
    for entry in entries:
        if entry["kind"] == "balance":
            balances |= {asset: Decimal(free) + Decimal(locked) for asset, (free, locked) in entry["balances"].items()}
    return balances


@examples(60)
@given(
    actions,
    st.sampled_from(("base", "quote", "bnb")),
    st.integers(0, 5),
    st.sampled_from(
        (
            BookDepth(),
            BookDepth(max_execution=Decimal("0.7")),
            BookDepth(share=0.02),
            BookDepth(level=Decimal("0.5"), step=3),
        )
    ),
    st.sets(st.sampled_from(sorted(ON_ORDERS))),
)
def test_trades_and_fees_explain_every_balance_at_every_moment(drawn, fee_in, seed, book, struck):
    execution = ExecutionModel(fee=0.001, maker_fee=0.0005, slippage=0.001)
    frame = random_walk(120, seed)
    faults = [Fault(kind, times=3) for kind in sorted(struck)]
    costs = {"fee_in": fee_in, "book": book, "execution": execution}
    exchange = exchange_of(frame, balances=START, limits=MANY, faults=faults, **costs)
    ask, before = Asker(exchange), []
    for action in drawn:
        act(ask, action)
        entries = exchange.ledger.entries()
        assert entries[: len(before)] == before
        before = entries
        check_books(exchange, entries)
    exchange.advance_to(exchange.now_ms() + 130 * HOUR)
    check_books(exchange, exchange.ledger.entries())


def check_books(exchange, entries):
    """Judge the ledger and the account by each other."""
    assert [entry["seq"] for entry in entries] == list(range(len(entries)))
    assert [entry["ms"] for entry in entries] == sorted(entry["ms"] for entry in entries)
    account, book = exchange.account, exchange.trading.book
    totals = {asset: account.free(asset) + account.locked(asset) for asset in account.assets()}
    assert explained(entries, START) == totals == reported(entries, START)
    assert all(account.free(asset) >= 0 and account.locked(asset) >= 0 for asset in account.assets())
    past = book.at(exchange.now_ms())
    assert [order.id for order in past.open_orders()] == [order.id for order in book.open_orders()]
    assert past.trades == book.trades
    locked = defaultdict(Decimal)
    for order in book.orders.values():
        assert order.open == (order.status in OPEN)
        assert (past.orders[order.id].status, past.orders[order.id].filled) == (order.status, order.filled)
        assert order.open or order.locked == 0
        assert sum(trade.quantity for trade in order.trades) == order.filled <= order.quantity or not order.quantity
        locked[paying_asset(order, exchange.tapes[order.symbol])] += order.locked
    assert {asset: amount for asset, amount in locked.items() if amount} == {
        asset: account.locked(asset) for asset in account.assets() if account.locked(asset)
    }


def played(seed):
    """Return the ledger of a seeded session as text, without our clock's times."""
    rng = np.random.default_rng(seed)
    faults = [Fault("lost", path="changes", after=3), Fault("late", path="changes", after=6, detail={"delay_ms": 900})]
    exchange = exchange_of(random_walk(60, 1), balances=START, faults=faults, limits=MANY)
    ask = Asker(exchange)
    for _ in range(60):
        kind = KINDS[rng.integers(len(KINDS))]
        act(ask, ("order", SIDES[rng.integers(2)], kind, int(rng.integers(1, 900)), int(rng.integers(-99, 99)), "GTC"))
        act(ask, ("wait", int(rng.integers(1, 3))))
    return json.dumps([entry | {"real_ms": 0} for entry in json.loads(exchange.ledger.to_json())])


def test_the_same_seed_and_requests_give_the_same_ledger():
    assert played(3) == played(3) != played(4)


def test_an_order_never_goes_back():
    rank = {"PENDING_NEW": 0, "NEW": 1, "PARTIALLY_FILLED": 2}
    states, filled = defaultdict(int), defaultdict(Decimal)
    for entry in json.loads(played(5)):
        if entry["kind"] in {"order", "trade"}:
            now = rank.get(entry["status"], 3)
            assert now >= states[entry["order_id"]]
            assert Decimal(entry["filled"]) >= filled[entry["order_id"]]
            states[entry["order_id"]], filled[entry["order_id"]] = now, Decimal(entry["filled"])
    assert len(states) > 10


def test_the_ledger_is_written_to_a_file_as_it_grows(tmp_path):
    file = tmp_path / "deep" / "ledger.jsonl"
    exchange = exchange_of(random_walk(10, 1), ledger=file)
    Asker(exchange).order("BUY", "MARKET", 1)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert rows == json.loads(exchange.ledger.to_json())
    assert [row["kind"] for row in rows] == ["request", "order", "trade", "balance", "answer"]
    assert rows[0]["params"]["quantity"] == "1"
    assert "signature" not in file.read_text()
    exchange.ledger.close()

"""A small trader for one symbol: the kernel decides, the simulated exchange alone fills; written for the proof of equality."""

import numpy as np

from atb.engine import records
from atb.engine.parameters import account_parameters, slot_parameters
from atb.engine.policy import AccountPolicy
from atb.engine.prepare import columns
from atb.engine.state import KernelState
from tests.venues.simulator.client import Asker

INSIDE = {"MARKET": 0, "LIMIT": 2, "STOP_LOSS": 1}


class Trader:
    """Trades a slot on an exchange bar by bar and keeps what was filled as (bar, role, side, quantity, price)."""

    def __init__(self, exchange, slot, account=None, *, at_once=False):
        self.exchange, self.ask, self.slot_problem = exchange, Asker(exchange), slot
        prepared = columns(slot)
        self.market, self.signals = prepared.market, prepared.signals
        account = account or AccountPolicy()
        self.par = np.array([slot_parameters(slot.policy, slot.execution, slot.rules)], records.SLOT_PARAMETERS)
        self.state = KernelState.fresh(account.cash, limits=account_parameters(account), parameters=self.par)
        self.at_once = at_once  # entries bring their protection along (OPO, OPOCO)
        self.row, self.fills, self.roles, self.seen, self.resting = 0, [], {}, 0, {}
        self.entry_id, self.entry_terms = None, None

    @property
    def slot(self):
        return self.state.slots[0]

    def run(self):
        for row in range(len(self.market)):
            self.row = row
            self.play_bar()
        return self.fills

    def play_bar(self):
        self.exchange.advance_to(int(self.market["opened"][self.row]))
        self.send_exit()
        self.send_entry()
        self.protect()
        closed = int(self.market["closed"][self.row])
        self.exchange.advance_to(closed - 1)
        self.sweep()
        self.protect()
        self.exchange.advance_to(closed)
        self.state.decide(self.market, self.signals, np.array([self.row]))

    # --- orders

    def place(self, role, side, kind, quantity, **params):
        # repr of a quantity such as 1e-05 is no number that Binance reads
        body = self.ask.order(side, kind, f"{quantity:.8f}", **params)
        if "orderId" in body:
            self.roles[body["orderId"]] = role
            self.sweep()
        return body

    def send_exit(self):
        if self.slot["exit"] != 0.0:
            self.withdraw()
            self.sweep()  # targets that the open passed have filled before
        if self.slot["exit"] != 0.0:
            body = self.place("exit", "SELL", "MARKET", abs(self.slot["exit"]))
            assert body["status"] == "FILLED", body

    def send_entry(self):
        slot = self.slot
        terms = (float(slot["entry"]), float(slot["entry_at"]), int(slot["entry_kind"]))
        if self.entry_id is not None and (slot["entry"] == 0.0 or repr(terms) != repr(self.entry_terms)):
            self.ask("DELETE", "order", symbol="BTCUSDT", orderId=self.entry_id)
            self.entry_id = None
        if slot["entry"] == 0.0 or self.entry_id is not None:
            return
        kind, params = "MARKET", {}
        if slot["entry_kind"] == records.AT_LIMIT:
            kind, params = "LIMIT", {"price": f"{slot['entry_at']:.8f}"}
        elif slot["entry_kind"] == records.AT_STOP:
            kind, params = "STOP_LOSS", {"stopPrice": f"{slot['entry_at']:.8f}"}
        body = self.place("entry", "BUY", kind, slot["entry"], **params)
        if kind == "STOP_LOSS" and "trigger" in body.get("msg", ""):  # the market opened beyond it
            kind, body = "MARKET", self.place("entry", "BUY", "MARKET", slot["entry"])
        if kind == "MARKET" and body.get("status") != "FILLED":
            assert body["code"] == -2010
            slot["entry"] = 0.0  # what the kernel's own venue would refuse for want of cash
        elif kind != "MARKET":
            assert "orderId" in body, (body, terms, float(slot["entry"]))
            self.entry_id, self.entry_terms = body["orderId"], terms

    def withdraw(self):
        for order in self.ask("GET", "openOrders", symbol="BTCUSDT")[1]:
            if order["side"] == "SELL" and self.ask.status(order["orderId"]) == "NEW":
                self.ask("DELETE", "order", symbol="BTCUSDT", orderId=order["orderId"])
        self.resting = {}

    def protect(self):
        """Let stops and targets rest for what is held, as often as executions change it."""
        while True:
            orders = self.exchange.trading.book.orders
            self.resting = {
                terms: ids for terms, ids in self.resting.items() if any(orders[order_id].open for order_id in ids)
            }
            wanted = self.wanted()
            stale = [terms for terms in self.resting if terms not in wanted]
            missing = [terms for terms in wanted if terms not in self.resting]
            if not stale and not missing:
                return
            for terms in stale:
                for one in self.resting.pop(terms):
                    if orders[one].open:
                        self.ask("DELETE", "order", symbol="BTCUSDT", orderId=one)
            held = float(self.slot["quantity"])
            self.sweep()  # what the open passed has filled before it could be withdrawn
            for terms in missing if held == float(self.slot["quantity"]) else ():
                self.resting[terms] = self.rest(*terms)

    def wanted(self):
        """Return (quantity, stop, target) of every order that is to rest: each rung of the ladder, then what is left."""
        ahead, found = self.state.copy(), []
        slot = ahead.slots[0]
        stop = "" if np.isnan(slot["stop"]) else f"{slot['stop']:.8f}"
        while slot["quantity"] > 0.0 and not np.isnan(slot["target"]):
            fill = np.zeros(1, records.ORDER)
            fill["side"], fill["quantity"], fill["price"] = -1, slot["target_quantity"], slot["target"]
            fill["role"], fill["reason"] = 4, records.PARTIAL_EXIT
            found.append((f"{slot['target_quantity']:.8f}", stop, f"{slot['target']:.8f}"))
            ahead.apply(fill)
        if slot["quantity"] > 0.0 and stop:
            found.append((f"{slot['quantity']:.8f}", stop, ""))
        return found

    def rest(self, quantity, stop, target):
        """Place one protective order or pair; return the ids of its orders."""
        if not stop:
            return [self.place("target", "SELL", "LIMIT_MAKER", float(quantity), price=target)["orderId"]]
        if not target:
            return self.stop(quantity, stop)
        status, body = self.ask(
            "POST", "orderList/oco", symbol="BTCUSDT", side="SELL", quantity=quantity, aboveType="LIMIT_MAKER",
            abovePrice=target, belowType="STOP_LOSS", belowStopPrice=stop,
        )  # fmt: skip
        if "relationship" in body.get("msg", ""):  # the market is beyond the stop
            return self.stop(quantity, stop)
        assert status == 200, body
        for report in body["orderReports"]:
            self.roles[report["orderId"]] = "stop" if report["type"] == "STOP_LOSS" else "target"
        self.sweep()
        return [report["orderId"] for report in body["orderReports"]]

    def stop(self, quantity, stop):
        body = self.place("stop", "SELL", "STOP_LOSS", float(quantity), stopPrice=stop)
        if body.get("code") == -2010:  # the market opened beyond it
            body = self.place("stop", "SELL", "MARKET", float(quantity))
            assert body["status"] == "FILLED"
        return [body["orderId"]]

    # --- fills

    def sweep(self):
        """Fold the executions that are new into the kernel's state, oldest first."""
        rows = self.exchange.trading.book.trades[self.seen :]
        self.seen += len(rows)
        for trade in rows:
            order = self.exchange.trading.book.orders[trade.order_id]
            role = self.roles.setdefault(trade.order_id, "entry")
            self.fills.append((self.row, role, trade.side, float(trade.quantity), float(trade.price)))
            self.apply(trade, order, role)

    def apply(self, trade, order, role):
        fill = np.zeros(1, records.ORDER)
        value = float(trade.commission) * (float(trade.price) if trade.commission_asset == "BTC" else 1.0)
        fill["fee_base"] = float(trade.commission) if trade.commission_asset == "BTC" else 0.0
        fill["side"] = 1 if trade.side == "BUY" else -1
        fill["quantity"], fill["price"], fill["fee"] = float(trade.quantity), float(trade.price), value
        fill["time"], fill["role"] = trade.time_ms, {"entry": 1, "exit": 2, "stop": 3, "target": 4}[role]
        slot = self.slot
        reasons = {"entry": slot["entry_reason"], "exit": slot["exit_reason"], "stop": slot["stop_reason"]}
        partial = slot["target_quantity"] < abs(slot["quantity"])
        fill["reason"] = reasons.get(role, records.PARTIAL_EXIT if partial else records.TAKE_PROFIT)
        if role == "entry":
            self.entry_id = None
            slot["entered_inside"] = order.inside
        self.state.apply(fill)


def expected(result):
    """Return a backtest's fills in the same form."""
    opened = {time: row for row, time in enumerate(result.inputs.market["opened"].tolist())}
    rows = result.orders
    times = rows["bar"].map(lambda time: opened[int(time.value // 1_000_000)])
    columns = (times, rows["role"], rows["side"].str.upper(), rows["quantity"], rows["price"])
    return [(int(bar), *rest) for bar, *rest in zip(*columns, strict=True)]


def merged(fills):
    """Join neighbours that differ in their quantity alone: a stop that covers two orders is one to the kernel."""
    found = []
    for bar, role, side, quantity, price in fills:
        if found and found[-1][:3] == (bar, role, side) and found[-1][4] == price:
            found.append((bar, role, side, found.pop()[3] + quantity, price))
        else:
            found.append((bar, role, side, quantity, price))
    return [(*rest[:3], round(rest[3], 8), rest[4]) for rest in found]

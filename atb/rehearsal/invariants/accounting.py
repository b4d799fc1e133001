"""I1 and I6: executions against the ledger, balances recomputed from executions, equity recomputed from balances and closes."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from atb.decimals import exact
from atb.domain.orders import CLIENT_ID_PREFIX
from atb.live.journal.session_rows import Row, SessionRows
from atb.rehearsal.context import JudgeContext
from atb.rehearsal.ledger import LedgerReading

_EXACT = Decimal("1e-12")
_FLOATS = Decimal("1e-9")  # relative: the journal's equity is a float
Key = tuple[str, str]


def executions(ledger: LedgerReading, journal: SessionRows) -> list[str]:
    """Compare the executions of our orders by trade id: client id, quantity, price, fee and fee asset."""
    at_exchange = {
        (entry["symbol"], str(entry["trade_id"])): (
            entry["client_id"],
            Decimal(entry["quantity"]),
            Decimal(entry["price"]),
            Decimal(entry["commission"]),
            entry["commission_asset"],
        )
        for entry in ledger.trades
        if entry["client_id"].startswith(CLIENT_ID_PREFIX)
    }
    names = ("client_id", "quantity", "price", "fee", "fee_asset")
    journalled = {_key(row): tuple(row[name] for name in names) for row in journal.executions}
    found = [
        f"execution {key} {at_exchange[key]} is not in the journal" for key in at_exchange.keys() - journalled.keys()
    ]
    found += [
        f"execution {key} {journalled[key]} is in the journal only" for key in journalled.keys() - at_exchange.keys()
    ]
    shared = sorted(at_exchange.keys() & journalled.keys())
    return found + [
        f"execution {key}: {at_exchange[key]}, in the journal {journalled[key]}"
        for key in shared
        if at_exchange[key] != journalled[key]
    ]


def fees_that_no_exchange_takes(ledger: LedgerReading, context: JudgeContext) -> list[str]:
    """Find buys whose fee was charged in quote: Binance takes it from what is bought, or in BNB; such a run proves nothing."""
    quotes = {slot.joined: slot.symbol.partition("/")[2] for slot in context.slots}
    charged = [
        entry
        for entry in ledger.trades
        if entry["side"] == "BUY" and entry["commission_asset"] == quotes.get(entry["symbol"])
    ]
    charged = [entry for entry in charged if Decimal(entry["commission"])]
    return [
        f"{len(charged)} buys paid their fee in quote, the first was {entry['client_id']} at {entry['ms']}"
        for entry in charged[:1]
    ]


def _key(row: Row) -> Key:
    return row["symbol"].replace("/", ""), row["trade_id"]


def balances(ledger: LedgerReading, journal: SessionRows, context: JudgeContext) -> list[str]:
    """Recompute the balances from the initial ones, our executions in the journal, and other trades and transfers in the ledger."""
    expected: dict[str, Decimal] = dict(context.balances)
    parts = {symbol.replace("/", ""): symbol.split("/") for symbol in (slot.symbol for slot in context.slots)}
    for row in journal.executions:
        base, quote = row["symbol"].split("/")
        bought = row["quantity"] if row["side"] == "buy" else -row["quantity"]
        _apply_trade(expected, (base, quote), bought=bought, price=row["price"])
        _add(expected, row["fee_asset"], -row["fee"])
    for entry in ledger.trades:
        if not entry["client_id"].startswith(CLIENT_ID_PREFIX):
            base, quote = parts[entry["symbol"]]
            quantity = Decimal(entry["quantity"])
            bought = quantity if entry["side"] == "BUY" else -quantity
            _apply_trade(expected, (base, quote), bought=bought, price=Decimal(entry["price"]))
            _add(expected, entry["commission_asset"], -Decimal(entry["commission"]))
    for entry in ledger.entries_of("transfer"):
        _add(expected, entry["asset"], Decimal(entry["amount"]))
    actual = dict(context.balances)
    for entry in ledger.entries_of("balance"):
        actual |= {asset: Decimal(free) + Decimal(locked) for asset, (free, locked) in entry["balances"].items()}
    pairs = {asset: (expected.get(asset, Decimal(0)), actual.get(asset, Decimal(0))) for asset in expected | actual}
    return [
        f"{asset}: the account has {has}, of which {explained} is accounted for"
        for asset, (explained, has) in sorted(pairs.items())
        if abs(explained - has) > _EXACT
    ]


def _apply_trade(amounts: dict[str, Decimal], pair: tuple[str, str], *, bought: Decimal, price: Decimal) -> None:
    _add(amounts, pair[0], bought)
    _add(amounts, pair[1], -bought * price)


def _add(amounts: dict[str, Decimal], asset: str, amount: Decimal) -> None:
    amounts[asset] = amounts.get(asset, Decimal(0)) + amount


def equity(journal: SessionRows) -> list[str]:
    """Recompute cash and equity at every bar from the executions that were journalled before it."""
    found: list[str] = []
    fills, at = list(journal.fills), 0
    cash, held = journal.cash, dict[int, Decimal]()
    closes: dict[int, Decimal] = {}
    decided: dict[int, list[Row]] = {}
    for row in journal.decisions:
        decided.setdefault(row["bar_ms"], []).append(row)
    for row in journal.equity:
        rows = sorted(decided.get(row["bar_ms"], []), key=lambda row: row["created_at"])
        written = rows[0]["created_at"] if rows else None
        while written is not None and at < len(fills) and fills[at]["created_at"] < written:
            cash += _apply_fill(fills[at], held)
            at += 1
        # Equity is journalled after the first of a bar's decisions: slots whose bar came late are marked at it in the next row.
        known = [closes | _closes(rows[:count]) for count in range(min(1, len(rows)), len(rows) + 1)]
        values = [cash + _value(held, marks) for marks in known]
        expected = min(values, key=lambda value: abs(row["equity"] - value))
        found += _unequal(row, {"cash": cash, "equity": expected})
        closes = known[-1]
    return found


def _closes(rows: list[Row]) -> dict[int, Decimal]:
    return {row["slot"]: exact(row["bar"]["close"]) for row in rows if "close" in row["bar"]}


def _value(held: dict[int, Decimal], closes: dict[int, Decimal]) -> Decimal:
    return sum((amount * closes.get(slot, Decimal(0)) for slot, amount in held.items()), Decimal(0))


def _apply_fill(fill: Row, held: dict[int, Decimal]) -> Decimal:
    """Add an execution to the holdings; return the change of cash."""
    base, sign = fill["symbol"].partition("/")[0], 1 if fill["side"] == "buy" else -1
    in_base = fill["fee_asset"] == base
    gained = sign * fill["quantity"] - (fill["fee"] if in_base else Decimal(0))
    held[fill["slot"]] = held.get(fill["slot"], Decimal(0)) + gained
    paid = Decimal(0) if in_base else (fill["fee_value"] or Decimal(0))
    return Decimal(-sign * fill["quantity"] * fill["price"] - paid)


def _unequal(row: Row, expected: dict[str, Any]) -> Iterable[str]:
    for name, amount in expected.items():
        if abs(row[name] - amount) > _FLOATS * max(Decimal(1), abs(amount)):
            yield f"bar {row['bar_ms']}: {name} {row[name]}, recomputed {amount}"

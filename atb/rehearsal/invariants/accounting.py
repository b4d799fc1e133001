"""I1 and I6: executions, balances and equity, each computed again from what is below it."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from atb.decimals import exact
from atb.domain.orders import CLIENT_ID_PREFIX
from atb.live.journal.session_rows import Row, SessionRows
from atb.rehearsal.context import Terms
from atb.rehearsal.ledger import Replay

_EXACT = Decimal("1e-12")
_FLOATS = Decimal("1e-9")  # the books' equity is a float: relative
Key = tuple[str, str]


def executions(replay: Replay, books: SessionRows) -> list[str]:
    """Compare executions of our orders: trade id, quantity, price, fee and its asset."""
    there = {
        (entry["symbol"], str(entry["trade_id"])): (
            entry["client_id"],
            Decimal(entry["quantity"]),
            Decimal(entry["price"]),
            Decimal(entry["commission"]),
            entry["commission_asset"],
        )
        for entry in replay.trades
        if entry["client_id"].startswith(CLIENT_ID_PREFIX)
    }
    names = ("client_id", "quantity", "price", "fee", "fee_asset")
    here = {_key(row): tuple(row[name] for name in names) for row in books.executions}
    found = [f"execution {key} {there[key]} is not in the books" for key in there.keys() - here.keys()]
    found += [f"execution {key} {here[key]} is in the books only" for key in here.keys() - there.keys()]
    shared = sorted(there.keys() & here.keys())
    return found + [
        f"execution {key}: {there[key]}, in the books {here[key]}" for key in shared if there[key] != here[key]
    ]


def _key(row: Row) -> Key:
    return row["symbol"].replace("/", ""), row["trade_id"]


def balances(replay: Replay, books: SessionRows, terms: Terms) -> list[str]:
    """Explain the account's balances: the beginning, our executions by the books, strangers' and transfers by the ledger."""
    expected: dict[str, Decimal] = dict(terms.balances)
    parts = {symbol.replace("/", ""): symbol.split("/") for symbol in (slot.symbol for slot in terms.slots)}
    for row in books.executions:
        base, quote = row["symbol"].split("/")
        bought = row["quantity"] if row["side"] == "buy" else -row["quantity"]
        _move(expected, (base, quote), bought=bought, price=row["price"])
        _add(expected, row["fee_asset"], -row["fee"])
    for entry in replay.trades:
        if not entry["client_id"].startswith(CLIENT_ID_PREFIX):
            base, quote = parts[entry["symbol"]]
            quantity = Decimal(entry["quantity"])
            bought = quantity if entry["side"] == "BUY" else -quantity
            _move(expected, (base, quote), bought=bought, price=Decimal(entry["price"]))
            _add(expected, entry["commission_asset"], -Decimal(entry["commission"]))
    for entry in replay.kind("transfer"):
        _add(expected, entry["asset"], Decimal(entry["amount"]))
    actual = dict(terms.balances)
    for entry in replay.kind("balance"):
        actual |= {asset: Decimal(free) + Decimal(locked) for asset, (free, locked) in entry["balances"].items()}
    pairs = {asset: (expected.get(asset, Decimal(0)), actual.get(asset, Decimal(0))) for asset in expected | actual}
    return [
        f"{asset}: the account has {has}, explained are {explained}"
        for asset, (explained, has) in sorted(pairs.items())
        if abs(explained - has) > _EXACT
    ]


def _move(amounts: dict[str, Decimal], pair: tuple[str, str], *, bought: Decimal, price: Decimal) -> None:
    _add(amounts, pair[0], bought)
    _add(amounts, pair[1], -bought * price)


def _add(amounts: dict[str, Decimal], asset: str, amount: Decimal) -> None:
    amounts[asset] = amounts.get(asset, Decimal(0)) + amount


def equity(books: SessionRows) -> list[str]:
    """Recompute cash and equity at every bar from the executions that were written before it."""
    found: list[str] = []
    fills, at = list(books.fills), 0
    cash, held = books.cash, dict[int, Decimal]()
    closes: dict[int, Decimal] = {}
    decided: dict[int, list[Row]] = {}
    for row in books.decisions:
        decided.setdefault(row["bar_ms"], []).append(row)
    for row in books.equity:
        rows = sorted(decided.get(row["bar_ms"], []), key=lambda one: one["created_at"])
        written = rows[0]["created_at"] if rows else None
        while written is not None and at < len(fills) and fills[at]["created_at"] < written:
            cash += _fold(fills[at], held)
            at += 1
        # Slots whose bars came late are marked at them in the next row: it was written after the first of these decisions.
        known = [closes | _closes(rows[:count]) for count in range(min(1, len(rows)), len(rows) + 1)]
        values = [cash + _worth(held, marks) for marks in known]
        expected = min(values, key=lambda value: abs(row["equity"] - value))
        found += _unequal(row, {"cash": cash, "equity": expected})
        closes = known[-1]
    return found


def _closes(rows: list[Row]) -> dict[int, Decimal]:
    return {one["slot"]: exact(one["bar"]["close"]) for one in rows if "close" in one["bar"]}


def _worth(held: dict[int, Decimal], closes: dict[int, Decimal]) -> Decimal:
    return sum((amount * closes.get(slot, Decimal(0)) for slot, amount in held.items()), Decimal(0))


def _fold(fill: Row, held: dict[int, Decimal]) -> Decimal:
    """Add an execution to what is held; return what it does to cash."""
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

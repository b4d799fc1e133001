"""`atb trades`, `atb orders` and `atb why`: round trips, orders, and the way back from a trade to its notebook."""

from typing import TYPE_CHECKING, Any

import click

from atb.cli import completing
from atb.cli.accounts import canonical_symbol, journal, known_strategy
from atb.cli.commands import Command
from atb.cli.layout import Row
from atb.cli.output import amounts, json_option, moments, print_fields, print_json, print_table
from atb.decimals import number
from atb.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from atb.db import Database

TRADES = ("trade", "strategy", "symbol", "side", "quantity", "entry_time", "entry_price", "exit_time", "exit_price", "fees", "pnl",
          "exit_reason", "bars_held")  # fmt: skip
ORDERS = ("bar (UTC)", "symbol", "role", "order", "filled", "fill price", "fee", "state", "refusal", "reason", "strategy",
          "client_id")  # fmt: skip
_FILLS = ("time", "role", "side", "quantity", "price", "fee", "fee_asset", "reason", "client_id")
_SEARCHED = 5_000  # newest trades among which a mistyped id is looked for
_account = click.option("--account", help="Of this account alone.")
_symbol = click.option(
    "-s", "--symbol", shell_complete=completing.symbol, help="Of this symbol alone: BTC/USDT, BTCUSDT, BTC-USDT."
)


def _limit(default: int) -> Any:
    return click.option(
        "--limit", type=click.IntRange(min=1), default=default, show_default=True, help="The newest so many."
    )


@click.command(cls=Command)
@_account
@_symbol
@click.option("--strategy", shell_complete=completing.strategy, help="Of this strategy alone.")
@_limit(20)
@json_option
def trades(account: str | None, symbol: str | None, *, strategy: str | None, limit: int, as_json: bool) -> None:
    """List closed round trips, the newest first; `pnl` is net of fees, in the quote currency.

    \b
    Examples:
      atb trades
      atb trades --account main --symbol BTCUSDT --limit 100 --json
    """
    from atb.live.journal.overview import known_account
    from atb.live.journal.overview import trades as closed

    with journal(reading=True) as database:
        wanted = None if account is None else known_account(database, account)
        by = None if strategy is None else known_strategy(database, strategy)
        rows = closed(database, account=wanted, symbol=canonical_symbol(symbol), strategy=by, limit=limit)
    if as_json:
        print_json(rows)
    else:
        print_table(
            [_trade(row) for row in rows], TRADES, spare=("bars_held", "strategy"), empty="No closed trade yet."
        )


@click.command(cls=Command)
@_account
@_symbol
@click.option("--open", "open_only", is_flag=True, help="Only those that are out.")
@_limit(50)
@json_option
def orders(account: str | None, symbol: str | None, *, open_only: bool, limit: int, as_json: bool) -> None:
    """List orders and what became of them, the newest first; `sent` means that the answer is not known.

    \b
    Examples:
      atb orders --open
      atb orders --account main --symbol ETH/USDT --limit 200 --json
    """
    from atb.live.journal.overview import known_account
    from atb.live.journal.overview import orders as find_orders

    with journal(reading=True) as database:
        wanted = None if account is None else known_account(database, account)
        rows = find_orders(database, account=wanted, symbol=canonical_symbol(symbol), open_only=open_only, limit=limit)
    if as_json:
        print_json(rows)
    else:
        empty = "No order is out." if open_only else "No order yet."
        print_table([_order(row) for row in rows], ORDERS, spare=("reason", "strategy", "client_id"), empty=empty)


def _trade(row: Row) -> dict[str, object]:
    """Return a round trip as people read it."""
    return moments(amounts(row, "quantity", "entry_price", "exit_price", "fees", "pnl"), "entry_time", "exit_time")


def _order(row: dict[str, Any]) -> dict[str, object]:
    """Return an order as people read it: when it was decided, what it asked for, and at what average price it was filled."""
    shown = amounts(row, "filled", "average_price")
    return {
        **shown,
        "bar (UTC)": moments(row, "bar")["bar"],
        "order": f"{row['side']} {number(float(row['quantity']))} {_terms(row)}",
        "fill price": shown["average_price"],
        "fee": ", ".join(f"{number(float(fee))} {asset}" for asset, fee in row["fees"].items()),
    }


def _terms(row: dict[str, Any]) -> str:
    """Return at what price an order is to be filled."""
    named = (("stop", row["stop_price"]), ("limit", row["price"]))
    prices = [f"{name} {number(float(price))}" for name, price in named if price is not None]
    return f"at {', '.join(prices)}" if prices else "at market"


@click.command(cls=Command)
@click.argument("trade_id")
@json_option
def why(trade_id: str, *, as_json: bool) -> None:
    """Explain a trade: its fills, orders, decisions with bar and prediction, manifest, run and notebook.

    TRADE_ID is SESSION/NUMBER as `atb trades` shows it; the beginning of a session is enough where only one begins so.

    \b
    Examples:
      atb why paper-0123456789abcdef/7
      atb why paper/7 --json
    """
    from atb.live.journal.why import explain_trade

    with journal(reading=True) as database:
        found = explain_trade(database, _whole_id(database, trade_id))
    if as_json:
        print_json(found)
        return
    _print_trade(found)
    _print_decisions(found["decisions"])
    _print_origin(found)


def _whole_id(database: "Database", text: str) -> str:
    """Return the id of the only trade that is meant.

    Raises
    ------
    InputError
        If there is none, with the nearest, or several.
    """
    from atb.live.journal.overview import trades as closed

    known = [str(row["trade"]) for row in closed(database, limit=_SEARCHED)]
    session, _, number = text.rpartition("/")
    near = [trade for trade in known if session and trade.startswith(session) and trade.rpartition("/")[2] == number]
    if text in known or len(known) == _SEARCHED:  # what is older than was searched, the journal itself finds or not
        return text
    if len(near) > 1:
        raise InputError("Several trades begin so", found=text, todo=f"Give more of it: {', '.join(near[:5])}")
    if not near:
        raise InputError("No such trade", found=text, todo=_nearest(text, known))
    return near[0]


def _nearest(text: str, known: list[str]) -> str:
    hint = did_you_mean(text, known)
    return hint if hint.startswith("Did you mean") else "`atb trades` lists them: SESSION/NUMBER"


def _print_trade(found: dict[str, Any]) -> None:
    trade = found["trade"]
    names = (
        "side",
        "quantity",
        "entry_time",
        "entry_price",
        "exit_time",
        "exit_price",
        "exit_reason",
        "fees",
        "pnl",
        "bars_held",
    )
    click.echo(click.style(f"Trade {trade['trade']}: {trade['strategy']} on {trade['symbol']}", bold=True))
    print_fields({name: _trade(trade)[name] for name in names})
    click.echo("\nFills")
    fills = [moments(amounts(fill, "quantity", "price", "fee"), "time") for fill in found["fills"]]
    print_table(fills, _FILLS, spare=("client_id",), empty="None was recorded.")


def _print_decisions(decisions: list[dict[str, Any]]) -> None:
    """Print what was known and decided at the close of each bar that an order of the trade was made in."""
    rows = [
        {
            "bar": moments(decision, "time")["time"],
            "close": (decision["bar"] or {}).get("close"),
            "signal": decision["side"],
            "prediction": decision["prediction"],
            "confidence": decision["confidence"],
            "orders": ", ".join(f"{order.get('role')} {order.get('side')}" for order in decision["intents"]),
            "cut": decision["refusal"],
        }
        for decision in decisions
    ]
    click.echo("\nDecisions, each at the close of its bar")
    print_table(rows, empty="None was recorded.")


def _print_origin(found: dict[str, Any]) -> None:
    """Print the way back: session, manifest, run, notebook."""
    promotion, run = found["promotion"] or {}, found["run"] or {}
    click.echo("\nOrigin")
    print_fields(
        {
            "session": found["session"]["session"],
            "mode": found["session"]["mode"],
            "manifest": promotion.get("path") or f"{found['manifest_sha256']} (not promoted from here)",
            "run": run.get("run_id") or promotion.get("run_id") or "(not recorded here)",
            "commit": run.get("commit"),
            "notebook": found["notebook"] and f"{run['path']}/{found['notebook']}",
        }
    )

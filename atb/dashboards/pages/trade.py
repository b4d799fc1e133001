"""Why a trade was made: decisions, orders and fills, and the way back to manifest, run and notebook."""

from typing import Any

from dash import html
from dash.development.base_component import Component

from atb.dashboards.elements import cards, facts, link, listed, section
from atb.dashboards.page import Look, Page, Query, Source
from atb.dashboards.pages.monitor.sections import decision_table, order_table
from atb.errors import InputError

_FILLS = {
    "time": "time", "side": "side", "role": "role", "reason": "reason", "quantity": "quantity (base)", "price": "price (quote)",
    "fee": "fee (in its asset)", "fee_asset": "fee in", "client_id": "order",
}  # fmt: skip
_MONEY = ("quantity", "price", "fee")


def read(source: Source, query: Query) -> dict[str, Any]:
    """Return everything about the trade that the address names.

    Raises
    ------
    InputError
        If it names none, or there is no such trade.
    """
    from atb.live.journal.why import explain_trade

    wanted = dict(query).get("id")
    if wanted is None:
        raise InputError("No trade is named", todo="Choose one on the page Live")
    return explain_trade(source.database, wanted)


def draw(content: dict[str, Any], look: Look) -> Component:  # noqa: ARG001 - the register's signature
    """Return the trade, what led to it and where it comes from."""
    trade = content["trade"]
    fills = [{**fill, **{name: float(fill[name]) for name in _MONEY}} for fill in content["fills"]]
    return html.Div(
        [
            html.H1(f"Trade {trade['trade']}: {trade['strategy']} on {trade['symbol']}"),
            cards(
                {
                    "side": trade["side"],
                    "quantity (base)": float(trade["quantity"]),
                    "entered": trade["entry_time"],
                    "entry price (quote)": float(trade["entry_price"]),
                    "left": trade["exit_time"],
                    "exit price (quote)": float(trade["exit_price"]),
                    "left by": trade["exit_reason"],
                    "profit after costs (quote)": float(trade["pnl"]),
                    "fees (quote)": float(trade["fees"]),
                    "bars held": trade["bars_held"],
                    "most in its favour (%)": _percent(trade["mfe"]),
                    "most against it (%)": _percent(trade["mae"]),
                }
            ),
            section("Decisions, each at the close of its bar", decision_table(content["decisions"])),
            section("Orders", order_table(content["orders"], empty="No order was recorded.")),
            section("Fills", listed(fills, _FILLS, empty="No fill was recorded.")),
            section("Where it comes from", _origin(content)),
        ]
    )


def _origin(content: dict[str, Any]) -> Component:
    promotion, run, sha256 = content["promotion"] or {}, content["run"] or {}, content["manifest_sha256"]
    run_id = run.get("run_id") or promotion.get("run_id")
    return facts(
        {
            "session": link(content["session"]["session"], "/live", session=content["session"]["session"]),
            "account": content["session"]["account"],
            "mode": content["session"]["mode"],
            "manifest": None if sha256 is None else link(promotion.get("name") or sha256, "/manifests", sha256=sha256),
            "run": link(run_id, "/run", id=run_id) if run else run_id,
            "notebook": link(content["notebook"], "/run", id=run_id) if run else None,
            "commit": run.get("commit"),
            "kernel": run.get("kernel_hash"),
        }
    )


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else round(100 * fraction, 2)


PAGE = Page("/trade", "Why", read, draw, every_s=5.0, listed=False)

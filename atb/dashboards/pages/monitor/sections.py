"""The parts of the live monitor: one session from what was read of it. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from dash import html
from dash.development.base_component import Component

from atb.dashboards.elements import address, cards, figure, link, listed, notice, rounded, section, text
from atb.dashboards.page import Look
from atb.dashboards.pages.monitor.quality import LEAST_BARS
from atb.decimals import number

Json = Mapping[str, Any]
POSITIONS = {
    "symbol": "symbol", "position": "quantity (base)", "entry_price": "entry (quote)",
    "mark": "last close (quote)", "value": "value (quote)", "open_pnl": "open profit (quote)", "stop": "stop (quote)",
    "stop_away": "stop away (%)", "at_risk": "at risk to the stop (quote)", "rests": "stop rests", "target": "target (quote)",
    "target_away": "target away (%)", "trouble": "stuck or barred", "strategy": "strategy", "timeframe": "bar",
    "last_bar": "last bar",
}  # fmt: skip
ORDERS = {
    "placed": "placed", "symbol": "symbol", "role": "role", "side": "side", "type": "type", "quantity": "quantity (base)",
    "filled": "filled (base)", "terms": "price (quote)", "state": "state", "reason": "reason", "refusal": "why not",
}  # fmt: skip
DECISIONS = {
    "time": "bar", "symbol": "symbol", "close": "close (quote)", "side": "signal (-1 to 1)", "prediction": "prediction",
    "confidence": "confidence (0 to 1)", "wanted": "orders wanted", "refusal": "cut or refused",
}  # fmt: skip
TRADES = {
    "name": "trade", "symbol": "symbol", "side": "side", "entry_time": "entered", "entry_price": "entry (quote)",
    "exit_time": "left", "exit_price": "exit (quote)", "pnl": "profit (quote)", "exit_reason": "left by",
}  # fmt: skip
EVENTS = {"time": "time", "severity": "severity", "kind": "what", "said": "detail"}
LIMITS = {"limit": "limit", "used": "used", "allowed": "allowed", "unit": "unit", "share": "used (%)", "meter": ""}
LEAST = 2  # points of a line
MONEY = ("quantity", "filled", "entry_price", "exit_price", "pnl", "price", "stop_price")


def state_notices(chosen: Json) -> list[Component]:
    """Return notices of all that is odd: a halt, a dead or silent runner, stuck and barred slots, drift, open questions."""
    found = []
    if chosen["stale"]:
        found.append(notice(f"Stale since {text(chosen['stale']['since'])}: {chosen['stale']['why']}.", "bad"))
    if chosen["halt"] != "none":
        found.append(notice(f"Halted ({chosen['halt']}): {chosen['halt_reason'] or 'no reason was given'}.", "bad"))
    if chosen["unknown"]:
        found.append(notice(f"The outcome of {chosen['unknown']} orders is not known; they count as filled.", "bad"))
    bare = [slot["symbol"] for slot in chosen["slots"] if slot["rests"] is False and slot["stop"] is not None]
    if bare and chosen["stale"] is None and chosen["state"] == "running":
        found.append(notice(f"No stop rests for {', '.join(bare)}.", "bad"))
    found += [
        notice(f"{slot['symbol']} is stuck: {slot['stuck']}.", "warn") for slot in chosen["slots"] if slot["stuck"]
    ]
    found += [notice(f"No entry is sent for {symbol}: {why}.", "warn") for symbol, why in chosen["barred"].items()]
    drift = ", ".join(f"{amount} {asset}" for asset, amount in chosen["drift"].items())
    return [*found, notice(f"The account has {drift} more than the books.", "warn")] if drift else found


def money(chosen: Json) -> Component:
    """Return balance, risk and trading as cards."""
    state, traded = chosen["account_state"], chosen["trading"]
    equity, cash = float(chosen["equity"]), float(chosen["cash"])
    held = [slot for slot in chosen["slots"] if slot["position"]]
    peak, over_time = state.get("peak") or equity, chosen["returns"]
    day = equity - state["day_equity"] if state.get("day_equity") else over_time["day"]
    values = [slot["value"] for slot in held if slot["value"] is not None]
    at_risk = sum(slot["at_risk"] or 0.0 for slot in held)
    now = 100 * max(0.0, 1 - equity / peak) if peak > 0 else None
    return cards(
        {
            "equity (quote)": equity,
            "profit since the start (quote)": float(chosen["pnl"]),
            "profit since the start (%)": rounded(100 * float(chosen["pnl"]) / float(chosen["initial_cash"])),
            "profit of the UTC day (quote)": rounded(day),
            "profit of seven days (quote)": rounded(over_time["week"]),
            "cash (quote)": cash,
            "positions": len(held),
            "value of positions (quote)": sum(map(abs, values)),
            "open profit (quote)": sum(slot["open_pnl"] or 0.0 for slot in held),
            "at risk down to the stops (% of equity)": rounded(100 * at_risk / equity) if equity > 0 else None,
            "drawdown from the peak (%)": rounded(now),
            "largest drawdown (%)": rounded(max(now or 0.0, over_time["drawdown"] or 0.0)),
            f"Sharpe ratio of {over_time['days']} days (a year)": rounded(over_time["sharpe"]),
            "throttle level (0 is none)": state.get("throttle"),
            "closed trades": chosen["trades_count"],
            f"won, of the last {traded['trades']} (%)": rounded(traded["win_rate"], 1),
            "profit factor of those": rounded(traded["profit_factor"]),
            "average win (quote)": traded["average_win"],
            "average loss (quote)": traded["average_loss"],
            "fees paid (quote)": state.get("fees"),
            "interest and funding paid (quote)": state.get("financing"),
        }
    )


def health(chosen: Json) -> Component:
    """Return how the runner and its orders fare, as cards."""
    done, state = chosen["execution"], chosen["health"]
    lease = chosen["lease"] or {}
    return section(
        "Health",
        cards(
            {
                "runner": "stale" if chosen["stale"] else chosen["state"],
                "runs since": state["begun"],
                "last bar": chosen["last_bar"],
                "bar closed to decision (s)": rounded(state["lag"]),
                "warnings and errors of the last hour": state["troubles"],
                "open orders": chosen["open_orders"],
                "orders without an answer": chosen["unknown"],
                "entries filled (%)": rounded(done["filled_entries"], 1),
                "orders refused or lost": done["failed"],
                "request to fill, median (s)": rounded(done["fill_seconds"], 3),
                "market fills against the close (bp, above 0 is worse)": rounded(done["slippage_bp"]),
                "lease epoch": lease.get("epoch"),
            }
        ),
        html.P("Of the newest 200 orders and events.", className="soft small"),
    )


def positions(chosen: Json) -> Component:
    """Return every slot with its position, stop and target; the chosen one is drawn."""
    rows = [
        {
            **slot,
            "trouble": slot["stuck"] or slot["barred"],
            **{name: rounded(slot[name]) for name in ("stop_away", "target_away")},
            "to": address("/live", session=chosen["session"], slot=slot["slot"]),
        }
        for slot in chosen["slots"]
    ]
    return section("Positions", listed(rows, POSITIONS, empty="There is no slot.", links={"symbol": "to"}))


def pictures(chosen: Json, look: Look) -> list[Component]:
    """Return the equity, and the price of the chosen slot with its executions and stops."""
    import pandas as pd

    from atb.reports import SessionRecord, session_equity_figure, session_fills_figure

    if len(chosen["equity_points"]) < LEAST:
        return [html.P("Nothing is drawn before two bars were decided on.", className="soft")]
    equity = _series(chosen["equity_points"], "equity")
    note = "From the journal alone, at most 500 points. The notebook 07_monitor lays the backtest of the same bars under it."
    none = pd.DataFrame({"slot": []})
    record = SessionRecord(chosen["session"], None, equity, none, none, uncompared=note)
    drawn = [figure(session_equity_figure(record), look, name="equity")]
    slot = chosen["slot"]
    if slot is not None and len(slot["history"]["closes"]) >= LEAST:
        from atb.live.journal.frames import slot_tables

        fills, orders = slot_tables(slot["history"])
        name = f"{chosen['session']} · {slot['strategy']} on {slot['symbol']} {slot['timeframe']}"
        record = SessionRecord(name, None, equity, fills, orders, _series(slot["history"]["closes"], "close"))
        drawn.append(figure(session_fills_figure(record), look, name="fills"))
    return drawn


def market(chosen: Json) -> Component | None:
    """Return the market figures of the chosen slot as cards, and why some are missing."""
    slot = chosen["slot"]
    if slot is None:
        return None
    found = slot["market"]
    trend = rounded(found["trend"])
    few = f"RSI, trend and volatility need {LEAST_BARS} journalled bars, and there are {found['bars']}."
    said = f"From the last {found['bars']} closes that were decided on. They decide nothing here: what the strategy saw is below."
    return section(
        f"Market: {slot['symbol']} {slot['timeframe']}",
        cards(
            {
                "last close (quote)": found["close"],
                "change in 24 hours (%)": rounded(found["change"]),
                "RSI over 14 bars (0 to 100)": rounded(found["rsi"], 1),
                "trend": None if trend is None else "up" if trend > 0 else "down" if trend < 0 else "none",
                "EMA over 12 bars against 26 (%)": trend,
                "volatility a year (%)": rounded(found["volatility"], 1),
            }
        ),
        html.P(said if found["bars"] >= LEAST_BARS else few, className="soft small"),
    )


def _series(points: list[tuple[int, float]], name: str) -> Any:
    import pandas as pd

    index = pd.to_datetime([at for at, _ in points], unit="ms", utc=True)
    return pd.Series([value for _, value in points], index=index, name=name, dtype=float)


def limits(chosen: Json) -> Component:
    """Return the use of each limit that is on, and which limits are not known."""
    found = chosen["limits"]
    rows = [
        {**use, "meter": html.Meter(value=str(min(100, use["share"])), min="0", max="100", high="80")}
        for use in found["use"]
    ]
    unknown = [notice(f"Not all limits are known. {why}", "warn") for why in found["unknown"]]
    none = None if unknown and not rows else listed(rows, LIMITS, empty="No limit is on.")
    return section("Limits", none, *unknown)


def orders(chosen: Json) -> Component:
    """Return the open orders and the newest ones."""
    still = order_table(chosen["open"], empty="No order is open.")
    newest = order_table(chosen["orders"], empty="No order was placed yet.")
    return section("Orders", html.H3("Open"), still, html.H3("Newest"), newest)


def order_table(rows: Sequence[Json], *, empty: str) -> Component:
    """Return orders of the journal as a table."""
    return listed([_order(row) for row in rows], ORDERS, empty=empty)


def _order(row: Json) -> Json:
    stop, limit = row["stop_price"], row["price"]
    named = [
        f"{name} {number(float(price))}" for name, price in (("stop", stop), ("limit", limit)) if price is not None
    ]
    return {**_floats(row), "terms": ", ".join(named) or "market"}


def decisions(chosen: Json) -> Component:
    """Return the newest decisions with what they wanted and what cut them."""
    return section("Decisions", decision_table(chosen["decisions"]))


def decision_table(rows: Sequence[Json]) -> Component:
    """Return decisions of the journal as a table: what was known at a close, and what was wanted."""
    shown = [
        {
            **row,
            "close": (row["bar"] or {}).get("close"),
            "wanted": ", ".join(f"{order.get('role')} {order.get('side')}" for order in row["intents"]) or None,
        }
        for row in rows
    ]
    columns = {
        name: head for name, head in DECISIONS.items() if name != "symbol" or any("symbol" in row for row in rows)
    }
    return listed(shown, columns, empty="No decision was recorded.")


def trades(chosen: Json) -> Component:
    """Return the newest closed trades, each leading to its cause."""
    rows = [{**_floats(row), "name": f"why {row['trade'].rpartition('/')[2]}", "to": address("/trade", id=row["trade"])}
            for row in chosen["trades"]]  # fmt: skip
    return section("Trades", listed(rows, TRADES, empty="No trade was closed yet.", links={"name": "to"}))


def events(chosen: Json) -> Component:
    """Return the newest rows of the audit trail."""
    rows = [{**row, "said": said(row["detail"])} for row in chosen["events"]]
    more = link("All of the audit trail", "/audit", session=chosen["session"])
    return section("Events", listed(rows, EVENTS, empty="Nothing was noted yet."), html.P(more))


def said(detail: Mapping[str, Any]) -> str:
    """Return a detail of the audit trail as a line."""
    return ", ".join(f"{name.replace('_', ' ')}: {_short(value)}" for name, value in detail.items())


def _short(value: object) -> str:
    shown = text(value) if not isinstance(value, Mapping) else said(value)
    return shown if len(shown) <= 200 else f"{shown[:200]}…"


def _floats(row: Json) -> Json:
    return {**row, **{name: float(row[name]) for name in MONEY if row.get(name) is not None}}

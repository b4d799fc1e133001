"""Reading for the live monitor: every session's standing, and everything of one of them, from the journal alone."""

from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atb.dashboards.page import Query, Source
from atb.dashboards.pages.monitor.quality import decision_lag, execution, market, over_time, trading, troubles
from atb.errors import AtbError, InputError
from atb.times import DAY_MS

if TYPE_CHECKING:
    from atb.db import Database
    from atb.live.journal.limits import Use
    from atb.promotion.manifest import Manifest

Json = dict[str, Any]
SESSIONS = 50  # the newest, in the table
SHOWN = {"decisions": 20, "orders": 20, "trades": 20, "events": 20}


def read(source: Source, query: Query) -> Json:
    """Return `sessions`, `file` (the halt of the file HALT, None without one), and `chosen`: one session, the newest by default.

    Raises
    ------
    InputError
        If there is no such session or slot.
    """
    from atb.live.journal.kill_switch import read_halt_file
    from atb.live.journal.overview import sessions

    found = sessions(source.database, now_ms=source.now_ms, limit=SESSIONS)
    file = read_halt_file(source.settings.data.root)
    asked = dict(query)
    wanted = asked.get("session")
    if wanted is not None and wanted not in {row["session"] for row in found}:
        found = [*found, *sessions(source.database, now_ms=source.now_ms, session_id=wanted)]
    chosen = next((row for row in found if wanted in {None, row["session"]}), None)
    if wanted is not None and chosen is None:
        raise InputError("There is no such session", found=wanted, todo="Choose one on the page Live")
    rows = [{**row, "stale": _stale(source, row)} for row in found]
    return {
        "sessions": rows,
        "file": {"level": file.name, "reason": file.reason} if file else None,
        "chosen": None if chosen is None else _session(source, rows[found.index(chosen)], asked.get("slot")),
    }


def _stale(source: Source, row: Json) -> Json | None:
    from atb.live.journal.overview import moment_text
    from atb.live.journal.watch import runner_stale

    found = runner_stale(source.database, row, now_ms=source.now_ms)
    return None if found is None else {"since": moment_text(found.since_ms), "why": found.why}


def _session(source: Source, row: Json, slot: str | None) -> Json:
    from atb.domain import Timeframe
    from atb.live.journal.watch import equity_points, newest_rows

    name = row["session"]
    newest = newest_rows(source.database, name)
    slots = _positions(row, newest)
    frames = [each["timeframe"] for each in slots] or ["1h"]
    finest = min(frames, key=lambda frame: Timeframe.parse(frame).seconds)
    shown, points = _chosen_slot(slots, slot), equity_points(source.database, name, finest)
    return {
        **row,
        "trades_count": row["trades"],
        "slots": slots,
        "equity_points": points,
        "returns": over_time(_daily(source.database, row, finest), points, equity=float(row["equity"]), today=_day(row)),
        "slot": None if shown is None else _slot(source.database, name, shown),
        "limits": _limits(source, row, newest),
        "account_state": newest["state"].get("account", {}),
        "trading": trading(newest["trades"]),
        "execution": execution(newest["orders"], newest["fills"], _closes(newest["decisions"])),
        "health": {
            "troubles": troubles(newest["events"], source.now_ms),
            "lag": decision_lag(newest["decisions"][:20]),
            "begun": newest["begun"],
        },
        "open": newest["open"],
        **{kind: newest[kind][:count] for kind, count in SHOWN.items()},
    }  # fmt: skip


def _positions(row: Json, newest: Json) -> list[Json]:
    """Return each slot with its mark, its profit, how far stop and target are, and whether a stop rests."""
    records = newest["state"].get("slots", [])
    rest = {order["slot"] for order in newest["open"] if order["role"] == "stop" and order["state"] != "planned"}
    found = []
    for slot, record in zip(row["slots"], [*records, *[{}] * len(row["slots"])], strict=False):
        held, mark, entry = slot["position"], record.get("mark"), slot["entry_price"]
        away = {f"{name}_away": _away(mark, slot[name]) for name in ("stop", "target")} if held else {}
        found.append({
            "stop_away": None, "target_away": None, **slot, **away, "mark": mark,
            "value": None if not held or mark is None else held * mark,
            "at_risk": _at_risk(held, mark, slot["stop"]),
            "open_pnl": None if not held or mark is None or entry is None else held * (mark - entry),
            "rests": slot["slot"] in rest if held else None,
        })  # fmt: skip
    return found


def _at_risk(held: float, mark: float | None, stop: float | None) -> float | None:
    """Return the loss of a position from the last close to its stop (quote): all of its value where it has none."""
    if not held or mark is None:
        return None
    return abs(held * mark) if stop is None else max(0.0, held * (mark - stop))


def _away(mark: float | None, price: float | None) -> float | None:
    """Return how far a price is from the last close, in percent of that."""
    return None if not mark or price is None else 100 * (price / mark - 1)


def _daily(database: "Database", row: Json, timeframe: str) -> list[tuple[int, float]]:
    from atb.live.journal.watch import daily_equity

    last_bar = row["last_bar"]
    return (
        [] if last_bar is None else daily_equity(database, row["session"], timeframe=timeframe, last_ms=_ms(last_bar))
    )


def _ms(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp() * 1_000)


def _day(row: Json) -> int:
    return 0 if row["last_bar"] is None else _ms(row["last_bar"]) // DAY_MS


def _chosen_slot(slots: list[Json], wanted: str | None) -> Json | None:
    if wanted is not None:
        found = next((slot for slot in slots if str(slot["slot"]) == wanted), None)
        if found is None:
            raise InputError("There is no such slot", found=wanted, todo="Choose one in the table of positions")
        return found
    return next((slot for slot in slots if slot["position"]), next(iter(slots), None))


def _slot(database: "Database", session: str, slot: Json) -> Json | None:
    from atb.live.journal.watch import slot_history

    if slot["last_bar"] is None:
        return None
    history = slot_history(database, session, slot["slot"], timeframe=slot["timeframe"], last_ms=_ms(slot["last_bar"]))
    named = {name: slot[name] for name in ("slot", "symbol", "timeframe", "strategy")}
    return {**named, "history": history, "market": market(history["closes"], slot["timeframe"])}


def _closes(decisions: list[Json]) -> dict[tuple[int, str], float]:
    return {(row["slot"], row["time"]): row["bar"]["close"] for row in decisions if (row["bar"] or {}).get("close")}


def _limits(source: Source, row: Json, newest: Json) -> Json:
    """Return the `use` of every limit that is on, and `unknown`: a sentence for those of which it is not known what they are."""
    found, unknown = [], []
    for read in (_promised, _own):
        try:
            found += read(source.database, row, newest)
        except AtbError as missing:
            unknown.append(str(missing))
    return {"use": [use.to_json() for use in found], "unknown": unknown}


def _own(database: "Database", row: Json, newest: Json) -> "list[Use]":
    """Return the use of the limits that the runner was started with.

    Raises
    ------
    AtbError
        If it did not write them.
    """
    from atb.live.journal.breakers import Breakers
    from atb.live.journal.limits import breaker_use
    from atb.live.journal.watch import breaker_counts

    limits = newest["limits"]
    if limits is None:
        raise InputError("The runner did not write its breakers: it is of an earlier version", todo="Start it again")
    breakers = Breakers.from_json(limits["breakers"])
    return breaker_use(breaker_counts(database, row["session"]), breakers, equity=float(row["equity"]))


def _promised(database: "Database", row: Json, newest: Json) -> "list[Use]":
    """Return the use of the limits that the manifests have, and of the largest loss.

    Raises
    ------
    AtbError
        If a manifest cannot be read.
    """
    from atb.engine.policy import AccountPolicy, RiskPolicy
    from atb.live.journal.limits import account_use, slot_use

    if not newest["state"].get("account"):
        return []
    pinned = [_manifest(database, slot["manifest_sha256"]) for slot in row["slots"]]
    names = [f"{slot['strategy']} on {slot['symbol']}" for slot in row["slots"]]
    largest = [RiskPolicy.from_json(manifest.policy).max_position for manifest in pinned]
    policy = AccountPolicy.from_json(pinned[0].account)
    return [
        *account_use(newest["state"], policy, max_loss=(newest["limits"] or {}).get("max_loss")),
        *slot_use(newest["state"], list(zip(names, largest, strict=True))),
    ]


def _manifest(database: "Database", sha256: str) -> "Manifest":
    from atb.db.tables import PromotionRow

    with database.session(read_only=True) as session:
        row = session.get(PromotionRow, sha256)
    if row is None:
        raise InputError("The manifest was not promoted from here", found=sha256)
    return _loaded(row.path, sha256)


@lru_cache(maxsize=256)  # a manifest's content has its hash
def _loaded(path: str, sha256: str) -> "Manifest":
    from atb.promotion.manifest import load_past_manifest

    found = load_past_manifest(Path(path))
    if found.content_sha256 != sha256:
        raise InputError("The manifest's file is another one now", found=path)
    return found

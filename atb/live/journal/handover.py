"""Hand-over: a new promotion takes an account's session over between two bars; position, stops and books stay.

The runner is stopped (its stops rest at the venue) and started with the new manifests and `--adopt`. Before anything is decided,
one transaction writes who owns each slot from now on, what it held and which stop stayed. Going back is the same with the old
manifests, and is recorded as a rollback.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import Connection, select

from atb.db import Database
from atb.db.tables import HandoverRow, SessionRow, SlotRow
from atb.decimals import exact
from atb.errors import InputError
from atb.live.journal import sql
from atb.live.journal.kill_switch import is_flat
from atb.live.journal.recovery import ResumePoint, TradedPortfolio, find_session
from atb.live.journal.rows import Rows
from atb.live.plan import Plan


@dataclass(frozen=True)
class HandOver:
    """A slot that passes to another plan before the bar that opens at `from_bar_ms`.

    Parameters
    ----------
    kind
        `adopted` and `rolled_back` change who trades; `shadowed` only records that `plan` was watched.
    position
        Signed quantity (base) that the slot holds at that moment; it belongs to `plan` from now on.
    stop_client_id
        The stop that stays at the venue, None without one.
    """

    slot: int
    kind: Literal["shadowed", "adopted", "rolled_back"]
    plan: Plan
    from_bar_ms: int
    position: Decimal
    stop_client_id: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def manifest_sha256(self) -> str:
        """Content hash of the new manifest."""
        return self.plan.manifest.content_sha256


@dataclass(frozen=True)
class PreviousSession:
    """The newest session of an account, traded by another portfolio.

    Parameters
    ----------
    slots
        Manifest hash, symbol and timeframe of each slot.
    former
        Slots and the manifests that traded them before the last hand-over.
    """

    session_id: str
    key: str
    slots: tuple[tuple[str, str, str], ...]
    former: frozenset[tuple[int, str]]

    def check_markets(self, portfolio: TradedPortfolio) -> None:
        """Refuse a portfolio that trades other markets.

        Raises
        ------
        InputError
            If number, symbols or timeframes differ: a position cannot change its market.
        """
        wanted = [(str(plan.symbol), str(plan.timeframe)) for plan in portfolio.plans]
        present = [slot[1:] for slot in self.slots]
        if wanted != present:
            raise InputError(
                f"Session {self.session_id} trades other markets",
                found=f"{_listed(wanted)} instead of {_listed(present)}",
                todo="Name one manifest per slot, in the session's order, or flatten the account and start a new session",
            )

    def slots_passed(self, portfolio: TradedPortfolio, resumed: ResumePoint, state: dict[str, Any]) -> list[HandOver]:
        """Return the slots whose manifest changes, each with its position and the stop that stays.

        Parameters
        ----------
        portfolio
            What trades from now on.
        resumed, state
            Where the session stands, and its kernel state as JSON values.
        """
        return [
            HandOver(
                slot,
                "rolled_back" if (slot, plan.manifest.content_sha256) in self.former else "adopted",
                plan,
                _next_bar_ms(resumed, slot, plan),
                exact(state["slots"][slot]["quantity"]),
                _resting_stop(resumed, slot),
            )
            for slot, plan in enumerate(portfolio.plans)
            if plan.manifest.content_sha256 != self.slots[slot][0]
        ]


def _listed(markets: Sequence[tuple[str, ...]]) -> str:
    return ", ".join(" ".join(market) for market in markets)


def _next_bar_ms(resumed: ResumePoint, slot: int, plan: Plan) -> int:
    last = resumed.slots[slot].last_bar_ms
    return resumed.trade_from_ms if last is None else plan.timeframe.next_ms(last)


def _resting_stop(resumed: ResumePoint, slot: int) -> str | None:
    orders = (working.order for working in resumed.working if working.slot == slot)
    return next((order.client_id for order in orders if order.role == "stop"), None)


# --- what the database says -------------------------------------------------------------------------------------------


def previous_session(database: Database, account: str, key: str) -> PreviousSession | None:
    """Return the newest session of an account; None if there is none, or if it is that of portfolio `key`."""
    # Newest as for the kill switch and for `sql.FIND`: an older session that was resumed last is the one that may hold something.
    newest = (
        select(SessionRow)
        .where(SessionRow.account == account)
        .order_by(SessionRow.updated_at.desc(), SessionRow.session_id)
        .limit(1)
    )
    with database.session(read_only=True) as session:
        row = session.scalars(newest).one_or_none()
        if row is None or row.key == key:
            return None
        slots = select(SlotRow).where(SlotRow.session_id == row.session_id).order_by(SlotRow.slot)
        passed = select(HandoverRow).where(HandoverRow.session_id == row.session_id, HandoverRow.kind != "shadowed")
        return PreviousSession(
            row.session_id,
            row.key,
            tuple((slot.manifest_sha256, slot.symbol, slot.timeframe) for slot in session.scalars(slots)),
            frozenset((entry.slot, entry.from_manifest_sha256) for entry in session.scalars(passed)),
        )


def locate_session(
    database: Database,
    account: str,
    portfolio: TradedPortfolio,
    *,
    adopt: bool,
    exclusive: bool,
    sent_after_ms: int = 0,
) -> tuple[ResumePoint | None, PreviousSession | None]:
    """Return where the portfolio's session stands (None: it begins one), and the session that it takes over, if any.

    A session that is taken over is the one that stands: the first value is its place then.

    Parameters
    ----------
    adopt
        Whether to take over the account's session under other manifests.
    exclusive
        Whether an account has one session at a time, as at an exchange; paper accounts have one per portfolio.
    sent_after_ms
        As for `find_session`.

    Raises
    ------
    InputError
        If there is nothing to take over, the markets differ, or the account holds positions of other manifests.
    """
    key = portfolio.identity()["key"]
    own = find_session(database, account, key, sent_after_ms=sent_after_ms)
    previous = previous_session(database, account, key)
    if adopt and own is None:
        if previous is None:
            raise InputError("There is no session to take over", found=account, todo="Leave --adopt out")
        previous.check_markets(portfolio)
        return find_session(database, account, previous.key, sent_after_ms=sent_after_ms), previous
    if exclusive and previous is not None:
        with database.engine.connect() as connection:
            flat = is_flat(connection, account)
        if not flat:
            raise InputError(
                f"Account {account} holds positions of other manifests, in session {previous.session_id}",
                todo="Take them over with --adopt, or close them: atb flatten",
            )
    return own, None


def write_hand_over(connection: Connection, session_id: str, rows: Rows, *, passed: Sequence[HandOver]) -> None:
    """Write who owned each slot and who owns it now; `rows` makes the rows of the portfolio that goes on."""
    connection.execute(sql.HANDOVERS, [_row(connection, session_id, entry) for entry in passed])
    for entry in passed:
        if entry.kind != "shadowed":
            owner = rows.traded_by(entry.plan)
            after = {"manifest": owner["manifest_sha256"], "by": owner["strategy"]}
            connection.execute(sql.HAND_OVER, {"of": session_id, "in_slot": entry.slot, **after})
    detail = [{"slot": entry.slot, "kind": entry.kind, "to": entry.manifest_sha256} for entry in passed]
    connection.execute(sql.AUDIT, [rows.audit("handed_over", {"slots": detail})])


def _row(connection: Connection, session_id: str, passed: HandOver) -> dict[str, Any]:
    before = connection.scalar(sql.TRADED_BY, {"of": session_id, "in_slot": passed.slot})
    names = ("slot", "kind", "from_bar_ms", "position", "stop_client_id", "detail")
    values = {name: getattr(passed, name) for name in names}
    owners = {"from_manifest_sha256": before, "to_manifest_sha256": passed.manifest_sha256}
    return {**values, "session_id": session_id, **owners}

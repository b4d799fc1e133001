"""A new promotion takes over an account's session between two bars: position, stops and books stay, the rules are the new ones.

The runner is stopped (its stops rest at the venue), and started with the new manifests and `--adopt`. Before anything is decided,
one transaction writes who owns each slot from now on, what it held and which stop stayed. To go back is the same with the old
manifests, and is recorded as that.
"""

from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import select

from atb.db import Database
from atb.db.tables import Handover, LiveSession, SlotRow
from atb.engine.policy import AccountPolicy
from atb.engine.state import KernelState
from atb.errors import InputError
from atb.live.execution.book import Book
from atb.live.journal.handover import HandOver
from atb.live.journal.journal import Journal
from atb.live.journal.kill_switch import is_flat
from atb.live.journal.recovery import Resumed, find_session
from atb.live.plan import Plan
from atb.live.portfolio import Portfolio


@dataclass(frozen=True)
class PreviousSession:
    """The session that an account has under other manifests."""

    session_id: str
    key: str
    trade_from_ms: int
    slots: tuple[tuple[str, str, str], ...]  # manifest, symbol, timeframe
    former: frozenset[tuple[int, str]]  # slots and the manifests that had them before

    def check(self, portfolio: Portfolio) -> None:
        """Refuse a portfolio whose slots are not these markets.

        Raises
        ------
        InputError
            If number, symbols or timeframes differ: a position cannot change its market.
        """
        markets = [(str(plan.symbol), str(plan.timeframe)) for plan in portfolio.plans]
        mine = [slot[1:] for slot in self.slots]
        if markets != mine:
            raise InputError(
                f"Session {self.session_id} trades other markets",
                found=f"{', '.join(' '.join(one) for one in markets)} instead of {', '.join(' '.join(one) for one in mine)}",
                todo="Name one manifest per slot, in the session's order, or flatten the account and start a new session",
            )

    def kind(self, slot: int, plan: Plan) -> str:
        """Return what the passage of a slot to a plan is called: `adopted`, or `rolled_back` to one that had it before."""
        return "rolled_back" if (slot, plan.manifest.content_sha256) in self.former else "adopted"


@dataclass(frozen=True)
class Successor:
    """A portfolio under the key of the session that it takes over, until it has."""

    portfolio: Portfolio
    key: str

    @property
    def plans(self) -> tuple[Plan, ...]:
        """What trades from now on."""
        return self.portfolio.plans

    @property
    def account(self) -> AccountPolicy:
        """Cash and limits of the account."""
        return self.portfolio.account

    def identity(self) -> dict[str, str]:
        """Return what the session's row says still."""
        return {**self.portfolio.identity(), "key": self.key}

    def fresh_state(self) -> KernelState:
        """Return the kernel's state of an account that has never traded."""
        return self.portfolio.fresh_state()


def session_of(
    database: Database, account: str, portfolio: Portfolio, *, adopt: bool, alone: bool
) -> PreviousSession | None:
    """Return the session that the portfolio takes over, None where it has its own or begins one.

    Parameters
    ----------
    adopt
        Whether to take over the account's session under other manifests.
    alone
        Whether an account has one session at a time, as at an exchange; paper accounts have one per portfolio.

    Raises
    ------
    InputError
        If there is nothing to take over, the markets differ, or the account holds positions of other manifests.
    """
    own = find_session(database, account, portfolio.key)
    before = predecessor(database, account, portfolio.key)
    if adopt and own is None:
        if before is None:
            raise InputError("There is no session to take over", found=account, todo="Leave --adopt out")
        before.check(portfolio)
        return before
    if alone and before is not None:
        with database.engine.connect() as connection:
            held = not is_flat(connection, account)
        if held:
            raise InputError(
                f"Account {account} holds positions of other manifests, in session {before.session_id}",
                todo="Take them over with --adopt, or close them: atb flatten",
            )
    return None


def predecessor(database: Database, account: str, key: str) -> PreviousSession | None:
    """Return the newest session of an account if it is of another portfolio, None if there is none."""
    newest = select(LiveSession).where(LiveSession.account == account).order_by(LiveSession.started_at.desc()).limit(1)
    with database.session(read_only=True) as session:
        row = session.scalars(newest).one_or_none()
        if row is None or row.key == key:
            return None
        slots = session.scalars(
            select(SlotRow).where(SlotRow.session_id == row.session_id).order_by(SlotRow.slot)
        ).all()
        passed = session.scalars(select(Handover).where(Handover.session_id == row.session_id)).all()
        return PreviousSession(
            row.session_id,
            row.key,
            row.trade_from_ms,
            tuple((slot.manifest_sha256, slot.symbol, slot.timeframe) for slot in slots),
            frozenset((one.slot, one.from_manifest_sha256) for one in passed if one.kind != "shadowed"),
        )


def hand_over(journal: Journal, portfolio: Portfolio, resumed: Resumed, *, before: PreviousSession, book: Book) -> None:
    """Write the passage of every slot whose manifest changes, with what it holds and the stop that stays.

    Parameters
    ----------
    journal
        Of the session, opened by an `Successor`.
    resumed
        Where the session stands.
    book
        The session's state under the new rules.
    """
    passed = [
        HandOver(
            slot,
            before.kind(slot, plan),  # type: ignore[arg-type] # one of the two words
            plan,
            _next_bar(resumed, slot, plan),
            Decimal(repr(float(book.slot(slot)["quantity"]))),
            _stop(resumed, slot),
        )
        for slot, plan in enumerate(portfolio.plans)
        if plan.manifest.content_sha256 != before.slots[slot][0]
    ]
    journal.hand_over(passed, portfolio, {**book.state.to_json(), **_desk(resumed)})


def _desk(resumed: Resumed) -> dict[str, object]:
    saved = (resumed.state or {}).get("desk")
    return {} if saved is None else {"desk": saved}


def _next_bar(resumed: Resumed, slot: int, plan: Plan) -> int:
    last = resumed.slots[slot].last_bar_ms
    return resumed.trade_from_ms if last is None else plan.timeframe.next_ms(last)


def _stop(resumed: Resumed, slot: int) -> str | None:
    stops = [one.order.client_id for one in resumed.working if one.slot == slot and one.order.role == "stop"]
    return stops[0] if stops else None

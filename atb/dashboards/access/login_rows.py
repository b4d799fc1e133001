"""Logins in the database: added, found, listed, revoked, each with its row in the audit trail."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from atb.dashboards.access.users import audit
from atb.db import Database
from atb.db.access import LoginRow, UserRow
from atb.errors import InputError

ID = 12  # digits of a token's hash that name a login to people
LONGEST_TEXT = 200  # characters of what a browser says of itself


@dataclass(frozen=True, slots=True)
class Login:
    """A login with its user's role; `stored` says whether the database holds it."""

    token_sha256: str
    user: str
    role: str
    created_at: datetime
    seen_at: datetime
    ends_at: datetime
    stored: bool


@dataclass(frozen=True, slots=True)
class Client:
    """Where a request comes from, for the audit trail."""

    address: str
    browser: str


def find(database: Database, token_sha256: str) -> Login | None:
    """Return the login of a token's hash with its user's present role; None if there is none, or it was revoked."""
    query = (
        select(LoginRow, UserRow.role)
        .join(UserRow, UserRow.name == LoginRow.user_name)
        .where(LoginRow.token_sha256 == token_sha256, LoginRow.revoked_at.is_(None))
    )
    with database.session(read_only=True) as session:
        found = session.execute(query).one_or_none()
        if found is None:
            return None
        row, role = found
        return Login(token_sha256, row.user_name, role, row.created_at, row.seen_at, row.ends_at, stored=True)


def add(database: Database, login: Login, client: Client) -> None:
    """Add a login, and remove those of the user that are over."""
    row = {
        "token_sha256": login.token_sha256,
        "user_name": login.user,
        "address": client.address,
        "browser": client.browser[:LONGEST_TEXT],
        "created_at": login.created_at,
        "seen_at": login.seen_at,
        "ends_at": login.ends_at,
    }
    with database.session() as session:
        over = (LoginRow.user_name == login.user, LoginRow.ends_at < login.created_at)
        session.execute(delete(LoginRow).where(*over))
        session.execute(insert(LoginRow), [row])
        audit(session, "login", user=login.user, role=login.role, address=client.address)


def mark_seen(database: Database, login: Login, now: datetime) -> None:
    """Write the time of the last use."""
    with database.session() as session:
        session.execute(update(LoginRow).where(LoginRow.token_sha256 == login.token_sha256).values(seen_at=now))


def remove(database: Database, token_sha256: str, *, user: str, address: str) -> None:
    """Remove a login that its user ended."""
    with database.session() as session:
        session.execute(delete(LoginRow).where(LoginRow.token_sha256 == token_sha256))
        audit(session, "logout", user=user, address=address)


def note(database: Database, kind: str, *, user: str, client: Client, **detail: str) -> None:
    """Write a refusal into the audit trail."""
    with database.session() as session:
        audit(session, kind, severity="warning", user=user, address=client.address, **detail)


def listed(database: Database, user: str | None = None) -> list[dict[str, object]]:
    """Return the logins that are neither over nor revoked, the latest used first, as plain values; `login` names each."""
    now = datetime.now(UTC)
    query = select(LoginRow).where(LoginRow.revoked_at.is_(None), LoginRow.ends_at > now)
    if user is not None:
        query = query.where(LoginRow.user_name == user)
    with database.session(read_only=True) as session:
        return [
            {
                "login": row.token_sha256[:ID],
                "user": row.user_name,
                "address": row.address,
                "browser": row.browser,
                "begun": row.created_at.isoformat(),
                "seen": row.seen_at.isoformat(),
                "ends": row.ends_at.isoformat(),
            }
            for row in session.scalars(query.order_by(LoginRow.seen_at.desc(), LoginRow.token_sha256))
        ]


def revoke(database: Database, which: str, *, by: str) -> list[str]:
    """End one login by its name, or all of a user; return their names. They are refused within a second.

    Raises
    ------
    InputError
        If none is in force under that name.
    """
    with database.session() as session:
        names = _named(session, which)
        if not names:
            raise InputError(
                "No login in force has this name or user", found=which, todo="`atb users logins` shows them"
            )
        session.execute(update(LoginRow).where(LoginRow.token_sha256.in_(names)).values(revoked_at=datetime.now(UTC)))
        audit(session, "login_revoked", severity="warning", which=which, logins=len(names), by=by)
    return [name[:ID] for name in names]


def _named(session: Session, which: str) -> list[str]:
    open_ones = select(LoginRow.token_sha256).where(LoginRow.revoked_at.is_(None), LoginRow.ends_at > datetime.now(UTC))
    of_user = list(session.scalars(open_ones.where(LoginRow.user_name == which)))
    if of_user or len(which) < ID:
        return of_user
    return list(session.scalars(open_ones.where(LoginRow.token_sha256.startswith(which, autoescape=True))))

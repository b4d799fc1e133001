"""Users of the dashboards: added, given another role or password, removed; every change is in the audit trail.

A change of a user's password or role ends all of that user's logins. The last admin stays: no other could be added.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from atb.dashboards.access.passwords import hashed, new_password
from atb.db import Database
from atb.db.access import ROLES, LoginRow, UserRow
from atb.db.tables import EventRow
from atb.errors import InputError, did_you_mean

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
FIRST = "admin"


@dataclass(frozen=True, slots=True)
class User:
    """A user as last read, with the hash of the password."""

    name: str
    role: str
    password_hash: str
    changed_at: datetime


def all_users(database: Database) -> list[User]:
    """Return every user by name."""
    with database.session(read_only=True) as session:
        rows = session.scalars(select(UserRow).order_by(UserRow.name))
        return [User(row.name, row.role, row.password_hash, row.changed_at) for row in rows]


def known_user(database: Database, name: str) -> str:
    """Return the user of this name.

    Raises
    ------
    InputError
        If there is none, with the one that was probably meant.
    """
    with database.session(read_only=True) as session:
        return _found(session, name).name


def first_admin(database: Database) -> str | None:
    """Add the user `admin` to a database without users and return its password, to be shown once; None if there are users."""
    if all_users(database):
        return None
    return add_user(database, FIRST, "admin", by="the first start")


def add_user(database: Database, name: str, role: str, *, password: str | None = None, by: str) -> str:
    """Add a user; return the password, a generated one unless it was given.

    Parameters
    ----------
    by
        Who does it, for the audit trail.

    Raises
    ------
    InputError
        If the name is taken or malformed, there is no such role, or the password is too short.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            "A user's name is 1 to 64 letters, digits, and . _ @ - after the first", found=name, todo="Choose another"
        )
    _check_role(role)
    chosen = password if password is not None else new_password()
    row = {"name": name, "role": role, "password_hash": hashed(chosen)}
    with database.session() as session:
        if session.get(UserRow, name) is not None:
            raise InputError("There is a user of this name already", found=name, todo="`atb users list` shows all")
        session.execute(insert(UserRow), [row])
        audit(session, "user_added", user=name, role=role, by=by)
    return chosen


def set_role(database: Database, name: str, role: str, *, by: str) -> None:
    """Give a user another role; logins under the old one end.

    Raises
    ------
    InputError
        If there is no such user or role, or it is the last admin.
    """
    _check_role(role)
    with database.session() as session:
        row = _found(session, name)
        if row.role == role:
            return
        _keep_an_admin(session, row)
        was, row.role, row.changed_at = row.role, role, datetime.now(UTC)
        _end_logins(session, name)
        audit(session, "role_changed", user=name, was=was, role=role, by=by)


def set_password(database: Database, name: str, *, password: str | None = None, by: str) -> str:
    """Give a user another password, a generated one unless it is given, and return it; the user's logins end.

    Raises
    ------
    InputError
        If there is no such user, or the password is too short.
    """
    chosen = password if password is not None else new_password()
    password_hash = hashed(chosen)
    with database.session() as session:
        row = _found(session, name)
        row.password_hash, row.changed_at = password_hash, datetime.now(UTC)
        _end_logins(session, name)
        audit(session, "password_changed", user=name, by=by)
    return chosen


def remove_user(database: Database, name: str, *, by: str) -> None:
    """Remove a user with all logins.

    Raises
    ------
    InputError
        If there is no such user, or it is the last admin.
    """
    with database.session() as session:
        row = _found(session, name)
        _keep_an_admin(session, row)
        _end_logins(session, name)
        session.delete(row)
        audit(session, "user_removed", user=name, role=row.role, by=by)


def audit(session: Session, kind: str, *, severity: str = "info", **detail: Any) -> None:
    """Add a row of the audit trail in the caller's transaction."""
    session.execute(insert(EventRow), [{"severity": severity, "kind": kind, "detail": detail, "session_id": None}])


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise InputError("There is no such role", found=role, todo=did_you_mean(role, ROLES))


def _found(session: Session, name: str) -> UserRow:
    row = session.get(UserRow, name)
    if row is None:
        known = session.scalars(select(UserRow.name)).all()
        raise InputError("There is no such user", found=name, todo=did_you_mean(name, known))
    return row


def _keep_an_admin(session: Session, row: UserRow) -> None:
    others = select(UserRow.name).where(UserRow.role == "admin", UserRow.name != row.name).limit(1)
    if row.role == "admin" and session.scalar(others) is None:
        raise InputError(
            "This is the last admin, and no other could be added", found=row.name, todo="Make another user admin first"
        )


def _end_logins(session: Session, name: str) -> None:
    session.execute(delete(LoginRow).where(LoginRow.user_name == name))

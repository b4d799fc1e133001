"""The tables of dashboard access: users with their roles, and logins, of which only the token's hash is stored."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from atb.db.base import Table, now, one_of

ROLES = ("viewer", "operator", "admin")
"""From the least right to the most; each role has the rights of those before it."""


class UserRow(Table):
    """A person who may look at the dashboards; `password_hash` is argon2id with its parameters and salt."""

    __tablename__ = "dashboard_user"
    __table_args__ = (one_of("role", ROLES),)

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    role: Mapped[str]
    password_hash: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)
    changed_at: Mapped[datetime] = mapped_column(default=now)


class LoginRow(Table):
    """A login of a user from one browser; `token_sha256` is the hash of the cookie: the row alone lets no one in.

    `seen_at` is the last use, to the minute; `ends_at` is its end however much it is used, and `revoked_at` when it was ended by
    hand.
    """

    __tablename__ = "dashboard_login"
    __table_args__ = (Index(None, "user_name"),)

    token_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_name: Mapped[str] = mapped_column(ForeignKey("dashboard_user.name", ondelete="CASCADE"))
    address: Mapped[str]
    browser: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)
    seen_at: Mapped[datetime] = mapped_column(default=now)
    ends_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]

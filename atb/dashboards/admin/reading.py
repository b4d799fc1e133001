"""The database session of one request for the admin's tables: it reads only, whatever a view tries, and ends with the request."""

from typing import Any

from flask import Flask, g
from sqlalchemy import text
from sqlalchemy.orm import Session

from atb.dashboards.link import DatabaseLink
from atb.db import Database

LONGEST_MS = 5_000  # a statement's time on PostgreSQL


class ReadSession:
    """Stands for the session of the present request, as Flask-Admin wants one object for all."""

    def __init__(self, server: Flask, link: DatabaseLink) -> None:
        self._link = link
        server.teardown_request(lambda _problem: _end())

    @property
    def session(self) -> Session:
        """The session of this request, begun when it is first used.

        Raises
        ------
        DatabaseLostError
            If the database does not answer.
        """
        if "admin_session" not in g:
            g.admin_session = self._link.ask(_begin)
        found: Session = g.admin_session
        return found

    def __getattr__(self, name: str) -> Any:
        """Pass everything on to the session."""
        return getattr(self.session, name)


def _begin(database: Database) -> Session:
    options: dict[str, Any] = {"sqlite_begin": "BEGIN", "postgresql_readonly": True}
    session = Session(database.engine.execution_options(**options), expire_on_commit=False)
    session.execute(
        text("SELECT 1") if database.dialect == "sqlite" else text(f"SET LOCAL statement_timeout = {LONGEST_MS}")
    )
    return session


def _end() -> None:
    session = g.pop("admin_session", None)
    if session is not None:
        session.close()

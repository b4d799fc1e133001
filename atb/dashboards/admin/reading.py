"""The database session of one request for the admin's tables: it reads only, whatever a view tries, and ends with the request."""

from typing import Any

from flask import Flask, g
from sqlalchemy import text
from sqlalchemy.orm import Session

from atb.dashboards.link import DatabaseLink
from atb.db import Database

LONGEST_MS = 5_000  # a statement's time on PostgreSQL


class ReadSession:
    """Stands for the session of the present request, as Flask-Admin wants one object for all; begun when it is first used."""

    def __init__(self, server: Flask, link: DatabaseLink) -> None:
        self._link = link
        self.session = self  # Flask-Admin asks whether there is one before any request
        server.teardown_request(lambda _problem: _end())

    def query(self, *entities: Any) -> Any:
        """Return a query, as a session does.

        Raises
        ------
        DatabaseLostError
            If the database does not answer.
        """
        return self._present().query(*entities)

    def get(self, model: Any, key: Any) -> Any:
        """Return the row of a key, None if there is none; errors as for `query`."""
        return self._present().get(model, key)

    def scalar(self, statement: Any) -> Any:
        """Return the only value of a statement, None if there is none; errors as for `query`."""
        return self._present().scalar(statement)

    def taken_over(self) -> Session:
        """Return the request's session to a caller who closes it, later than the request ends; errors as for `query`."""
        session = self._present()
        del g.admin_session
        return session

    def _present(self) -> Session:
        if "admin_session" not in g:
            g.admin_session = self._link.ask(_begin)
        found: Session = g.admin_session
        return found


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

"""The dashboards' way to the database: asked for a limited time, left alone for a moment after it failed, opened again.

A database that hangs would otherwise hold every thread of the server, and with them the kill switch, which needs none.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from atb.db import Database
from atb.db.refusals import refusal
from atb.errors import DatabaseLostError, SetupError
from atb.threads import Call

T = TypeVar("T")
PATIENCE_S = 5.0  # for one answer
REST_S = 3.0  # after a failure, in which the database is not asked again


class DatabaseLink:
    """An open database that may go away and come back.

    Parameters
    ----------
    open_it
        Opens the database; called again when its file was replaced, or when it could not be opened before.
    """

    def __init__(
        self, open_it: Callable[[], Database], *, patience_s: float = PATIENCE_S, rest_s: float = REST_S
    ) -> None:
        self._open, self._patience_s, self._rest_s = open_it, patience_s, rest_s
        self._lock, self._opening = threading.Lock(), threading.Lock()
        self._database: Database | None = open_it()
        self.unwritable = self._database.unwritable
        self._failed: tuple[float, str] | None = None
        self._hanging: Call[Any] | None = None

    @property
    def lost(self) -> str:
        """Why the database did not answer when it was asked last; empty if it did."""
        return "" if self._failed is None else self._failed[1]

    def ask(self, question: Callable[[Database], T]) -> T:
        """Call a function with the database and return its result.

        Raises
        ------
        DatabaseLostError
            If the database does not answer in time, refuses, or did so a moment ago.
        """
        if not self._may_ask():
            raise _lost(self.lost)
        call = Call(lambda: question(self.database()), "dashboards database")
        if not call.wait(self._patience_s):
            self._hanging = call
            raise self._fail(f"The database did not answer within {self._patience_s:g} s")
        try:
            answer = call.result()
        except Exception as problem:
            refused = problem if isinstance(problem, SetupError) else refusal(problem)
            if refused is None:
                self._failed = None  # it answered: what was asked was wrong
                raise
            raise self._fail(str(refused)) from problem
        self._failed = None
        return answer

    def _may_ask(self) -> bool:
        """Return False while a call hangs, and for a moment after a failure; then one caller tries for all."""
        with self._lock:
            if self._hanging is not None and not self._hanging.done:
                return False
            self._hanging = None
            if self._failed is None:
                return True
            if monotonic() - self._failed[0] < self._rest_s:
                return False
            self._failed = monotonic(), self._failed[1]
            return True

    def database(self) -> Database:
        """Return the open database, opened again if it was lost; what is done with it is not bounded in time here."""
        with self._opening:
            if self._database is not None and not self._database.there:
                _require_file(self._database)
                self._database.close()
                self._database = None
            if self._database is None:
                self._database = self._open()
                self.unwritable = self._database.unwritable
            return self._database

    def close(self) -> None:
        """Return every connection."""
        if self._database is not None:
            self._database.close()

    def _fail(self, why: str) -> DatabaseLostError:
        self._failed = monotonic(), why
        return _lost(why)


def _require_file(database: Database) -> None:
    """Refuse to open a database anew whose file is gone: an empty one would be made in its place.

    Raises
    ------
    SetupError
        If there is no file.
    """
    path = Path(database.engine.url.database or "")
    if not path.is_file():
        raise SetupError("The database's file is gone", found=str(path), todo="Put it back")


def _lost(why: str) -> DatabaseLostError:
    return DatabaseLostError(why, todo="Bring it back; these pages go on by themselves")

"""Logins: begun with a password, found again by the cookie's token, ended by time, by hand or by a change of the user.

The database holds them, by the hash of their token, so that a restart keeps them and `atb users revoke` ends them within a second.
Beside it they are remembered here: the kill switch must work while the database is away, for those who are logged in, and for
those who log in then with the password that was last known. What begins so, or where the database cannot be written, lives in this
process alone. A login that is ended then is noted in a file beside the keys (`ended`), and in the database once it is back.
"""

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from time import monotonic

from atb.dashboards.access import login_rows
from atb.dashboards.access.ended import EndedLogins
from atb.dashboards.access.login_rows import Client, Login
from atb.dashboards.access.passwords import is_right
from atb.dashboards.access.users import User, all_users, set_password
from atb.dashboards.link import DatabaseLink
from atb.db import Database
from atb.errors import DatabaseLostError, InputError

CHECKED_S = 1.0  # seconds that a login is believed before the database is asked again
NOTED_S = 60.0  # seconds between two notes of the same refusal
SEEN_S = 60.0  # seconds between two notes of the last use
MOST = 10_000  # remembered logins


@dataclass(frozen=True, slots=True)
class Limits:
    """When a login of a role ends: after so long without use, and after so long in any case.

    With `polls` a page that refreshes itself counts as use: a viewer's may stay on a wall. Rights to act end when no one acts.
    """

    idle: timedelta
    absolute: timedelta
    polls: bool


LIMITS = {
    "viewer": Limits(timedelta(hours=12), timedelta(days=30), polls=True),
    "operator": Limits(timedelta(minutes=30), timedelta(hours=12), polls=False),
    "admin": Limits(timedelta(minutes=30), timedelta(hours=12), polls=False),
}


class Logins:
    """The logins of one server.

    Parameters
    ----------
    link
        The database.
    read_only
        Nothing is written, and everybody has the rights of a viewer. A sign-out then holds for this server alone.
    ended
        The folder for logins that are ended while the database cannot be written; None keeps them in memory.
    """

    def __init__(self, link: DatabaseLink, *, read_only: bool = False, ended: Path | None = None) -> None:
        self._link, self._read_only = link, read_only
        self._ended = EndedLogins(None if read_only else ended)
        self._known: dict[str, tuple[float, Login]] = {}
        self._users: dict[str, User] = {user.name: user for user in link.ask(all_users)}
        self._refused: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def begin(self, name: str, password: str, client: Client) -> str | None:
        """Return the token of a new login; None if name or password is wrong."""
        user = self._user(name)
        if not is_right(password, None if user is None else user.password_hash) or user is None:
            self._note("login_refused", user="unknown" if user is None else name, client=client)
            return None
        token, now = secrets.token_urlsafe(32), datetime.now(UTC)
        role = self._capped(user.role)
        login = Login(_hash(token), name, role, now, now, now + LIMITS[role].absolute, stored=False)
        self._remember(replace(login, stored=self._store(login, client)))
        return token

    def find(self, token: str, *, by_person: bool) -> Login | None:
        """Return the login of a cookie's token, if it is in force; `by_person` is False for a page that refreshes itself."""
        key = _hash(token)
        checked, login = self._known.get(key, (-1e9, None))
        if monotonic() - checked >= CHECKED_S:
            login = None if key in self._ended else self._checked(key, login)
        now = datetime.now(UTC)
        if login is None or _is_over(login, now):
            self._forget(key)
            return None
        if (by_person or LIMITS[login.role].polls) and (now - login.seen_at).total_seconds() >= SEEN_S:
            login = self._seen(login, now)
        return login

    def end(self, token: str, client: Client) -> None:
        """End a login by its own wish."""
        key = _hash(token)
        _, login = self._known.get(key, (0.0, None))
        self._forget(key)
        if login is not None and not self._remove(key, login.user, client.address) and login.stored:
            self._ended.add(key, user=login.user, address=client.address)

    def change_password(self, login: Login, *, present: str, new: str, client: Client) -> None:
        """Give a login's user another password; all logins of the user end.

        Raises
        ------
        InputError
            If the present password is wrong, or the new one too short.
        DatabaseLostError
            If it cannot be written.
        """
        user = self._user(login.user)
        if user is None or not is_right(present, user.password_hash):
            self._note("password_refused", user=login.user, client=client)
            raise InputError("The present password is wrong")
        self._link.ask(lambda database: set_password(database, login.user, password=new, by=login.user))
        self._forget(login.token_sha256)

    def note_refused(self, login: Login, path: str, client: Client) -> None:
        """Write into the audit trail that a role was too low, for each path once a minute: the trail is not to be flooded."""
        key = login.user, path
        if monotonic() - self._refused.get(key, -1e9) < NOTED_S:
            return
        with self._lock:
            if len(self._refused) >= MOST:
                self._refused.clear()
            self._refused[key] = monotonic()
        self._note("access_refused", user=login.user, client=client, path=path)

    def _note(self, kind: str, *, user: str, client: Client, **detail: str) -> None:
        self._write(lambda database: login_rows.note(database, kind, user=user, client=client, **detail))

    def _user(self, name: str) -> User | None:
        self._refresh_users()
        return self._users.get(name)

    def _refresh_users(self) -> None:
        try:
            self._users = {user.name: user for user in self._link.ask(all_users)}
        except DatabaseLostError:
            return  # those last known hold

    def _checked(self, key: str, known: Login | None) -> Login | None:
        """Return a login as the database has it now; as it was last known where that does not answer."""
        try:
            found = self._link.ask(lambda database: login_rows.find(database, key))
        except DatabaseLostError:
            return known
        self._ended.hand_over(self._remove)
        if found is None and known is not None and not known.stored:
            found = self._unstored(known)
        if found is None:
            return None
        seen_at = found.seen_at if known is None else max(found.seen_at, known.seen_at)
        login = replace(found, role=self._capped(found.role), seen_at=seen_at)
        self._remember(login)
        return login

    def _unstored(self, known: Login) -> Login | None:
        """Return a login that only this process holds, if its user is as it was when it began."""
        user = self._user(known.user)
        if user is None or user.changed_at > known.created_at or self._capped(user.role) != known.role:
            return None
        return known

    def _capped(self, role: str) -> str:
        return "viewer" if self._read_only else role

    def _seen(self, login: Login, now: datetime) -> Login:
        seen = replace(login, seen_at=now)
        self._remember(seen)
        if login.stored:
            self._write(lambda database: login_rows.mark_seen(database, login, now))
        return seen

    def _store(self, login: Login, client: Client) -> bool:
        return self._write(lambda database: login_rows.add(database, login, client))

    def _remove(self, token_sha256: str, user: str, address: str) -> bool:
        return self._write(lambda database: login_rows.remove(database, token_sha256, user=user, address=address))

    def _write(self, act: Callable[[Database], None]) -> bool:
        """Write if that is possible; return whether it was."""
        if self._link.unwritable or self._read_only:
            return False
        try:
            self._link.ask(act)
        except DatabaseLostError:
            return False
        return True

    def _remember(self, login: Login) -> None:
        with self._lock:
            self._known[login.token_sha256] = monotonic(), login
            while len(self._known) > MOST:
                del self._known[next(iter(self._known))]

    def _forget(self, key: str) -> None:
        with self._lock:
            self._known.pop(key, None)


def _is_over(login: Login, now: datetime) -> bool:
    return now >= login.ends_at or now - login.seen_at >= LIMITS[login.role].idle


def _hash(token: str) -> str:
    return sha256(token.encode()).hexdigest()

"""Logins that were ended while the database could not be written: one small file each, until the database has it.

Without them a sign-out in such a moment would only take the cookie from the browser, and the login would be good again once the
database is back. A file of its own for each, so that several servers over one folder need not agree.
"""

import json
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from atb.files import make_private_folder, write_private

FOLDER = "ended_logins"
_HASH = re.compile(r"[0-9a-f]{64}")


class EndedLogins:
    """The ended logins of one folder, by the hash of their token.

    Parameters
    ----------
    folder
        Where their files are; None keeps them in this process alone, for a server that writes nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder, self._here, self._busy = folder, set[str](), threading.Lock()

    def add(self, token_sha256: str, *, user: str, address: str) -> None:
        """Refuse a login from now on; by this process alone where the disk does not take the file."""
        self._here.add(token_sha256)
        if self._folder is None:
            return
        with suppress(OSError):
            make_private_folder(self._folder)
            write_private(self._folder / token_sha256, json.dumps({"user": user, "address": address}).encode())

    def __contains__(self, token_sha256: str) -> bool:
        """Return whether a login was ended and the database may not know it."""
        return token_sha256 in self._here or (self._folder is not None and (self._folder / token_sha256).exists())

    def hand_over(self, write: Callable[[str, str, str], bool]) -> None:
        """Write each into the database; what that took is kept here no longer.

        Parameters
        ----------
        write
            Is given the hash of the token, the user and the address; returns whether it was written.
        """
        files = self._files()
        if not files or not self._busy.acquire(blocking=False):
            return
        try:
            for path in files:
                self._hand_over_one(path, write)
        finally:
            self._busy.release()

    def _hand_over_one(self, path: Path, write: Callable[[str, str, str], bool]) -> None:
        with suppress(OSError, ValueError, KeyError, TypeError):  # what is no such file stays
            found = json.loads(path.read_bytes())
            if write(path.name, str(found["user"]), str(found["address"])):
                path.unlink()
                self._here.discard(path.name)

    def _files(self) -> list[Path]:
        try:
            return [path for path in self._folder.iterdir() if _HASH.fullmatch(path.name)] if self._folder else []
        except OSError:  # as a rule there is no such folder
            return []

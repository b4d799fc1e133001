"""The kill switch: levels of halt, who set them, and how they are lifted; it latches, and works without the database.

It is set in four places: the database (command line, notebook, a breaker), the file `HALT` in the data folder, a signal to the
runner, and the runner itself. The highest level counts. A halt by file or signal is written to the database as soon as that
answers, so that it still holds when the file is gone or the process ends.

One kind of pause does not latch: a hold, which lasts as long as something does not answer and is lifted by the runner itself. The
file is read in a thread, since the folder may hang; if it does, the last reading counts, and after a while entries are held
until it answers.
"""

import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from time import monotonic

from sqlalchemy import Connection, bindparam, insert, select

from atb.db import Database
from atb.db.tables import EventRow, HaltRow, KernelStateRow, SessionRow
from atb.errors import HaltError, InputError, did_you_mean
from atb.files import write_private
from atb.reading import MIB, read_file
from atb.redaction import redact
from atb.threads import Call

FILE = "HALT"
_MOMENT_S = 0.25  # the longest that reading the file may block its caller
_SILENT_S = 10.0  # after which a file that cannot be read holds entries


class Level(IntEnum):
    """Level of a halt; each includes those before it."""

    NONE = 0
    PAUSE = 1  # no entries
    CANCEL = 2  # resting entries are cancelled; stops and targets stay
    FLATTEN = 3  # every position is closed

    @classmethod
    def parse(cls, word: str) -> "Level":
        """Read `pause`, `cancel` or `flatten`.

        Raises
        ------
        InputError
            If it is no level that can be set.
        """
        known = {level.word: level for level in cls if level}
        if word not in known:
            raise InputError("Not a level of the kill switch", found=word, todo=did_you_mean(word, known))
        return known[word]

    @property
    def word(self) -> str:
        """The level as people write it."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Halt:
    """A level with its reason, where it came from (`database`, `file`, `signal`, `breaker`, a user's name) and since when."""

    level: Level
    reason: str = ""
    source: str = ""
    since: datetime | None = None

    def __bool__(self) -> bool:
        """Return whether anything is halted."""
        return self.level > Level.NONE

    @property
    def name(self) -> str:
        """The level as people write it."""
        return self.level.word


NO_HALT = Halt(Level.NONE)


def effective_halt(*halts: Halt) -> Halt:
    """Return the one with the highest level, the first of equals."""
    return max(halts, key=lambda halt: halt.level, default=NO_HALT)


class KillSwitch:
    """The kill switch outside the database: the file `HALT`, signals, and holds.

    Parameters
    ----------
    root
        The data folder with the file; None reads no file.
    """

    def __init__(self, root: Path | None = None) -> None:
        self._root = root
        self._signalled = self._file_halt = NO_HALT
        self._holds: dict[str, Halt] = {}
        self._lock = threading.Lock()  # the journal reads from another thread
        self._reading: Call[Halt] | None = None
        self._began = 0.0

    def signal(self, level: Level, reason: str, source: str = "signal") -> None:
        """Raise the level for as long as this process lives; a lower one than before changes nothing."""
        self._signalled = effective_halt(self._signalled, Halt(level, reason, source, datetime.now(UTC)))

    def hold(self, source: str, reason: str) -> None:
        """Pause entries until `release` is called for the same source; this never latches."""
        self._holds[source] = Halt(Level.PAUSE, reason, source, datetime.now(UTC))

    def release(self, source: str) -> None:
        """Lift the hold of a source, if there is one."""
        self._holds.pop(source, None)

    def read(self) -> Halt:
        """Return the highest halt of file, signal and holds; a slow folder blocks the caller for a moment at most."""
        if self._root is not None:
            with self._lock:
                self._read_file(self._root)
        return effective_halt(self._signalled, self._file_halt, *self._holds.copy().values())

    def lasting(self) -> Halt:
        """Return the highest halt of file and signal as last read: those that latch, without holds."""
        return effective_halt(self._signalled, self._file_halt)

    def _read_file(self, root: Path) -> None:
        """Take the file's halt, that of a late reading too; while one hangs, no other begins."""
        self._take_reading()
        if self._reading is None:
            self._reading, self._began = Call(lambda: read_halt_file(root), "kill switch"), monotonic()
            self._reading.wait(_MOMENT_S)
            self._take_reading()
        if self._reading is not None and monotonic() - self._began > _SILENT_S:
            self.hold(FILE, f"the folder of the file {FILE} has not answered for {_SILENT_S:g} s")

    def _take_reading(self) -> None:
        if self._reading is not None and self._reading.done:
            self._file_halt, self._reading = self._reading.result(), None
            self.release(FILE)


# --- the file ---------------------------------------------------------------------------------------------------------


def read_halt_file(root: Path) -> Halt:
    """Return the halt of the file `HALT` in a folder: its first word is the level, the rest the reason.

    Any such file is at least a pause, readable or not.
    """
    path = root / FILE
    try:
        text = read_file(path, max_bytes=MIB).decode("utf-8", errors="replace").strip()
        since = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:
        return NO_HALT
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        return Halt(Level.PAUSE, f"the file {FILE} cannot be read: {reason}", "file")
    word, rest = (*text.split(maxsplit=1), "", "")[:2]
    level = {level.word: level for level in Level if level}.get(word.lower().rstrip(":,"))
    if level is None:
        return Halt(Level.PAUSE, text or f"the file {FILE} is there", "file", since)
    return Halt(level, rest or f"the file {FILE} says so", "file", since)


def write_halt_file(root: Path, level: Level, reason: str) -> Path:
    """Halt every runner on a data folder without any database; a stronger file that exists already stays.

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    path = root / FILE
    if read_halt_file(root).level >= level:
        return path
    try:
        write_private(path, f"{level.word} {reason}\n".encode())
    except OSError as error:
        raise InputError(f"The file {path} cannot be written", found=error.strerror) from error
    return path


def remove_halt_file(root: Path) -> None:
    """Delete the file; its halt stays latched in the database of each runner that saw it.

    Raises
    ------
    InputError
        If it cannot be deleted, or is a folder.
    """
    path = root / FILE
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        why = "it is a folder" if path.is_dir() else error.strerror
        raise InputError(f"{path} cannot be deleted", found=why, todo="Remove it by hand, then resume") from error


# --- the database -----------------------------------------------------------------------------------------------------

_COLUMNS = (HaltRow.level, HaltRow.reason, HaltRow.source, HaltRow.set_at)
_NEWEST = select(*_COLUMNS).where(HaltRow.account == bindparam("of")).order_by(HaltRow.id.desc()).limit(1)
_SESSION = (
    select(SessionRow.session_id)
    .where(SessionRow.account == bindparam("of"))
    .order_by(SessionRow.updated_at.desc(), SessionRow.session_id)
    .limit(1)
)
_STATE = select(KernelStateRow.payload).where(KernelStateRow.session_id == bindparam("of"))
_ADD, _AUDIT = insert(HaltRow), insert(EventRow)


def latched(connection: Connection, account: str) -> Halt:
    """Return an account's halt in the database, within the caller's transaction."""
    row = connection.execute(_NEWEST, {"of": account}).one_or_none()
    return NO_HALT if row is None else Halt(Level(row.level), row.reason, row.source, row.set_at)


def latch(connection: Connection, account: str, halt: Halt) -> Halt:
    """Write a halt within the caller's transaction, with its entry in the audit trail; a stronger one that is set stays."""
    current = latched(connection, account)
    if current.level >= halt.level:
        return current
    _write(connection, account, halt, severity="warning", kind="halted")
    return halt


def halted(database: Database, account: str) -> Halt:
    """Return an account's halt in the database."""
    with database.session(read_only=True) as session:
        return latched(session.connection(), account)


def set_halt(database: Database, account: str, level: Level | str, *, reason: str, source: str) -> Halt:
    """Halt an account; return the halt in force, which is an earlier one if that is stronger.

    The runner sees it in its next transaction, and at its next heartbeat at the latest.

    Raises
    ------
    InputError
        If the word is no level.
    """
    raised = Level.parse(level) if isinstance(level, str) else level
    with database.session() as session:
        return latch(session.connection(), account, Halt(raised, reason, source, datetime.now(UTC)))


def clear_halt(database: Database, account: str, *, source: str, reason: str = "", root: Path | None = None) -> Halt:
    """Lift an account's halt; return it. All accounts at once cannot be resumed.

    Parameters
    ----------
    source, reason
        Who lifts it, and why; both go into the audit trail.
    root
        The data folder, which may hold the file `HALT`.

    Raises
    ------
    InputError
        If the account is not halted.
    HaltError
        If the file `HALT` is there, or the account was to be flattened and its book is not flat.
    """
    if root is not None and read_halt_file(root):
        raise HaltError(
            "The file that halts every runner is still there", found=str(root / FILE), todo="Delete it, then resume"
        )
    with database.session() as session:
        connection = session.connection()
        current = latched(connection, account)
        if not current:
            raise InputError(f"Account {account} is not halted", todo="`atb status` shows who is")
        if current.level == Level.FLATTEN and not is_flat(connection, account):
            todo = "Let the runner close it, or close it at the exchange and let the runner see that; then resume"
            raise HaltError(f"Account {account} is being flattened and still holds something", todo=todo)
        lifted = Halt(Level.NONE, reason, source, datetime.now(UTC))
        _write(connection, account, lifted, severity="warning", kind="resumed")
        return current


def is_flat(connection: Connection, account: str) -> bool:
    """Return whether the newest session of an account holds no position in its books."""
    newest = connection.execute(_SESSION, {"of": account}).scalar()
    state = connection.execute(_STATE, {"of": newest}).scalar() if newest is not None else None
    return state is None or not any(slot.get("quantity") for slot in state["slots"])


def halts(database: Database, account: str) -> list[Halt]:
    """Return the history of an account's kill switch, newest first."""
    query = select(*_COLUMNS).where(HaltRow.account == account).order_by(HaltRow.id.desc())
    with database.session(read_only=True) as session:
        return [Halt(Level(row.level), row.reason, row.source, row.set_at) for row in session.execute(query)]


def _write(connection: Connection, account: str, halt: Halt, *, severity: str, kind: str) -> None:
    why = {"account": account, "reason": redact(halt.reason), "source": halt.source}
    connection.execute(_ADD, [{**why, "level": int(halt.level)}])
    detail = {**why, "level": halt.level.word}
    session_id = connection.execute(_SESSION, {"of": account}).scalar()
    connection.execute(_AUDIT, [{"session_id": session_id, "severity": severity, "kind": kind, "detail": detail}])

"""The kill switch: what is forbidden, by whom, and how it is given back; it latches, and works without the database.

Four places set it: the database (command line, notebook, a breaker), the file `HALT` in the data folder, a signal to the
runner, and the runner itself. The highest level counts. What a file or a signal asked for is written to the database as soon as
that answers, so that it holds when the file is gone or the process ends.

One kind of pause does not latch: a hold, which lasts as long as something does not answer and is lifted by the runner itself. The
file is looked at in a thread, since the folder may hang; where it does, what it said last counts, and after a while entries are
held until it answers.
"""

import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from time import monotonic

from sqlalchemy import Connection, bindparam, insert, select

from atb.db import Database
from atb.db.tables import Event, HaltRow, KernelState, LiveSession
from atb.errors import HaltError, InputError, did_you_mean
from atb.files import write_private
from atb.reading import MIB, read_file
from atb.redaction import redact
from atb.threads import Call

FILE = "HALT"
_MOMENT_S = 0.25  # the longest that a look at the file keeps its caller waiting
_SILENT_S = 10.0  # after which a file that cannot be looked at holds entries


class Level(IntEnum):
    """What is forbidden; each level forbids what the one before does, and more is done."""

    NONE = 0
    PAUSE = 1  # no entries
    CANCEL = 2  # resting entries are cancelled as well; stops and targets stay
    FLATTEN = 3  # everything is closed, and looked after until it is

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
        """Tell whether anything is forbidden."""
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
    """What a runner is told past the database: the file and signals.

    Parameters
    ----------
    root
        The data folder with the file; None looks for none.
    """

    def __init__(self, root: Path | None = None) -> None:
        self._root = root
        self._signalled = self._said = NO_HALT
        self._holds: dict[str, Halt] = {}
        self._lock = threading.Lock()  # the journal looks from another thread
        self._looking: Call[Halt] | None = None
        self._since = 0.0

    def signal(self, level: Level, reason: str, source: str = "signal") -> None:
        """Raise the level for as long as this process lives; a lower one than before changes nothing."""
        self._signalled = effective_halt(self._signalled, Halt(level, reason, source, datetime.now(UTC)))

    def hold(self, source: str, reason: str) -> None:
        """Pause entries until `release` is called for the same source; this never latches."""
        self._holds[source] = Halt(Level.PAUSE, reason, source, datetime.now(UTC))

    def release(self, source: str) -> None:
        """Lift a hold, where there is one, and nothing else."""
        self._holds.pop(source, None)

    def read(self) -> Halt:
        """Return the highest one of file, signal and holds; a folder that hangs keeps the caller waiting for a moment, once."""
        if self._root is not None:
            with self._lock:
                self._look(self._root)
        return effective_halt(self._signalled, self._said, *self._holds.copy().values())

    def lasting(self) -> Halt:
        """Return what file and signal said when they were last read: what holds until a person resumes, so no hold."""
        return effective_halt(self._signalled, self._said)

    def _look(self, root: Path) -> None:
        """Take what the file says; while an earlier look hangs, no other begins."""
        if self._looking is None or self._looking.done:
            self._looking, self._since = Call(lambda: read_halt_file(root), "kill switch"), monotonic()
            self._looking.wait(_MOMENT_S)
        if self._looking.done:
            self._said = self._looking.result()
            self.release(FILE)
        elif monotonic() - self._since > _SILENT_S:
            self.hold(FILE, f"the folder of the file {FILE} has not answered for {_SILENT_S:g} s")


# --- the file ---------------------------------------------------------------------------------------------------------


def read_halt_file(root: Path) -> Halt:
    """Return what the file `HALT` in a folder says; whoever made it meant to stop something, so any file is at least a pause.

    Its first word is the level (`pause` where it is no level), the rest the reason.
    """
    path = root / FILE
    try:
        text = read_file(path, max_bytes=MIB).decode("utf-8", errors="replace").strip()
        since = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:
        return NO_HALT
    except (OSError, ValueError) as unreadable:
        reason = unreadable.strerror if isinstance(unreadable, OSError) else unreadable
        return Halt(Level.PAUSE, f"the file {FILE} cannot be read: {reason}", "file")
    word, rest = (*text.split(maxsplit=1), "", "")[:2]
    level = {one.word: one for one in Level if one}.get(word.lower().rstrip(":,"))
    if level is None:
        return Halt(Level.PAUSE, text or f"the file {FILE} is there", "file", since)
    return Halt(level, rest or f"the file {FILE} says so", "file", since)


def write_halt_file(root: Path, level: Level, reason: str) -> Path:
    """Halt every runner over a data folder without any database; a stronger file that is there already stays.

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
    except OSError as refused:
        raise InputError(f"The file {path} cannot be written", found=refused.strerror) from refused
    return path


def remove_halt_file(root: Path) -> None:
    """Delete the file; what it asked for stays latched in the database of each runner that saw it.

    Raises
    ------
    InputError
        If it cannot be deleted, or is a folder, whose content is nobody's to throw away.
    """
    path = root / FILE
    try:
        path.unlink(missing_ok=True)
    except OSError as refused:
        why = "it is a folder" if path.is_dir() else refused.strerror
        raise InputError(f"{path} cannot be deleted", found=why, todo="Remove it by hand, then resume") from refused


# --- the database -----------------------------------------------------------------------------------------------------

_COLUMNS = (HaltRow.level, HaltRow.reason, HaltRow.source, HaltRow.set_at)
_NEWEST = select(*_COLUMNS).where(HaltRow.account == bindparam("of")).order_by(HaltRow.id.desc()).limit(1)
_SESSION = (
    select(LiveSession.session_id)
    .where(LiveSession.account == bindparam("of"))
    .order_by(LiveSession.updated_at.desc(), LiveSession.session_id)
    .limit(1)
)
_STATE = select(KernelState.payload).where(KernelState.session_id == bindparam("of"))
_ADD, _TELL = insert(HaltRow), insert(Event)


def latched(connection: Connection, account: str) -> Halt:
    """Return what the database says about an account."""
    row = connection.execute(_NEWEST, {"of": account}).one_or_none()
    return NO_HALT if row is None else Halt(Level(row.level), row.reason, row.source, row.set_at)


def latch(connection: Connection, account: str, halt: Halt) -> Halt:
    """Write a halt within the caller's transaction, with its entry in the audit trail; a stronger one that is set stays."""
    there = latched(connection, account)
    if there.level >= halt.level:
        return there
    _write(connection, account, halt, severity="warning", kind="halted")
    return halt


def halted(database: Database, account: str) -> Halt:
    """Return what the database says about an account."""
    with database.session(read_only=True) as session:
        return latched(session.connection(), account)


def set_halt(database: Database, account: str, level: Level | str, *, reason: str, source: str) -> Halt:
    """Halt an account from now on; return what holds, which is what was set before where that is stronger.

    The runner sees it in its next transaction, and at its next heartbeat at the latest.

    Raises
    ------
    InputError
        If the level is a word that is none.
    """
    wanted = Level.parse(level) if isinstance(level, str) else level
    with database.session() as session:
        return latch(session.connection(), account, Halt(wanted, reason, source, datetime.now(UTC)))


def clear_halt(database: Database, account: str, *, source: str, reason: str = "", root: Path | None = None) -> Halt:
    """Let the named account trade again; return the halt that was lifted. There is no way to resume them all.

    Parameters
    ----------
    source, reason
        Who, and why: both go into the audit trail.
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
        there = latched(connection, account)
        if not there:
            raise InputError(f"Account {account} is not halted", todo="`atb status` shows who is")
        if there.level == Level.FLATTEN and not is_flat(connection, account):
            todo = "Let the runner close it, or close it at the exchange and let the runner see that; then resume"
            raise HaltError(f"Account {account} is being flattened and still holds something", todo=todo)
        lifted = Halt(Level.NONE, reason, source, datetime.now(UTC))
        _write(connection, account, lifted, severity="warning", kind="resumed")
        return there


def is_flat(connection: Connection, account: str) -> bool:
    """Tell whether the newest session of an account holds nothing, as far as its books know."""
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
    said = {**why, "level": halt.level.word}
    of = connection.execute(_SESSION, {"of": account}).scalar()
    connection.execute(_TELL, [{"session_id": of, "severity": severity, "kind": kind, "detail": said}])

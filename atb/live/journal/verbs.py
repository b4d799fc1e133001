"""The verbs of the kill switch, for the command line and the control page: halt and resume, by the database or without it.

A halt that the database does not take in time is written to the file HALT of the data folder, which every runner over it reads; the
answer says which way it went. A resume needs the database, which holds what is latched; it is given up after as long.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError

from atb.db import Database
from atb.errors import InputError, SetupError
from atb.live.journal.kill_switch import (
    Halt,
    Level,
    clear_halt,
    halted,
    read_halt_file,
    remove_halt_file,
    set_halt,
    write_halt_file,
)
from atb.live.journal.overview import accounts, known_account
from atb.threads import Call

T = TypeVar("T")
PATIENCE_S = 15.0  # at the command line, for a database to answer
RESUME = "resume"


class _SilentError(SetupError):
    """The database did not answer in time, and what was asked may still be carried out."""


@dataclass(frozen=True, slots=True)
class Switch:
    """Where the kill switch of some runners is.

    Parameters
    ----------
    journal
        Opens the database for the length of a block.
    root
        The data folder; its file HALT works without the database.
    patience_s
        Seconds for the database to answer: then a halt is written to the file instead, and a resume is given up.
    """

    journal: Callable[[], AbstractContextManager[Database]]
    root: Path
    patience_s: float


@dataclass(frozen=True, slots=True)
class Halted:
    """The outcome of a halt.

    Parameters
    ----------
    level
        What was asked for.
    accounts
        The halt in force by account, which may be an earlier and stronger one; empty where the database did not answer.
    file
        The file that halts every runner over the folder, if it was written.
    lost
        Why the database did not take it; empty if it did.
    """

    level: Level
    accounts: dict[str, Halt]
    file: Path | None
    lost: str = ""


@dataclass(frozen=True, slots=True)
class Resumed:
    """The outcome of a resume: the account with the halt it had, None if only the file was deleted."""

    account: str | None
    was: Halt | None
    file_removed: bool


def halt(
    switch: Switch, word: str, account: str | None, *, reason: str, source: str, with_file: bool = False
) -> Halted:
    """Halt an account, or every one that ever traded here if it is None.

    Parameters
    ----------
    word
        `pause`, `cancel` or `flatten`.
    source
        Who does it and from where; with the reason it goes into the audit trail.
    with_file
        Write the file too, for runners that the database knows nothing of.

    Raises
    ------
    InputError
        If there is no such level or account, or no reason; the file, if asked for, is written all the same, and the error says so.
    """
    level, lost = Level.parse(word), ""
    if not reason.strip():
        raise InputError("Say why", todo='--reason "..."')
    path: Path | None = None
    if with_file:
        path = write_halt_file(switch.root, level, f"{reason} ({source})")
    try:
        found = _in_time(lambda: _latch(switch, level, account, reason=reason, source=source), switch.patience_s)
    except InputError as refused:
        if path is None:
            raise
        wrong = f"Every runner over this folder is halted by the file {path} ({level.word}), and nothing else: {refused.wrong}"
        todo = "" if account is None else refused.todo
        raise InputError(wrong, found=refused.found, todo=todo) from None
    except SetupError as gone:
        found, lost = {}, str(gone)
        path = path or write_halt_file(switch.root, level, f"{reason} ({source})")
    return Halted(level, found, path, lost)


def resume(switch: Switch, account: str | None, *, reason: str, source: str, with_file: bool = False) -> Resumed:
    """Let one account trade again; None means the only one that is halted.

    Parameters
    ----------
    with_file
        Delete the file HALT first.

    Raises
    ------
    InputError
        If no such account is halted, or several are and none was named.
    HaltError
        If the file is there and stays, or a flatten has not finished.
    SetupError
        If the database does not answer in time: it is then not known whether anything was resumed.
    """
    given_up = threading.Event()
    try:
        return _in_time(
            lambda: _lift(switch, account, given_up, reason=reason, source=source, with_file=with_file),
            switch.patience_s,
        )
    except _SilentError as silent:
        given_up.set()
        todo = "Look at `atb status` first: what hangs may still be carried out"
        raise SetupError(f"It is not known whether anything was resumed. {silent.wrong}", todo=todo) from None


def _lift(
    switch: Switch, account: str | None, given_up: threading.Event, *, reason: str, source: str, with_file: bool
) -> Resumed:
    """Lift a halt; nothing is done any more once `given_up` is set, since its failure was reported."""
    with _answering(switch) as database:
        removed = bool(with_file and read_halt_file(switch.root))
        only_file = removed and account is None and not _halted_accounts(database)
        chosen = None if only_file else _halted_one(database) if account is None else known_account(database, account)
        if given_up.is_set():
            raise _SilentError("It was given up")
        if removed:
            remove_halt_file(switch.root)
        if chosen is None:
            return Resumed(None, None, file_removed=True)
        lifted = clear_halt(database, chosen, source=source, reason=reason, root=switch.root)
    return Resumed(chosen, lifted, file_removed=removed)


def _halted_accounts(database: Database) -> list[str]:
    """Return the names of the accounts that are halted in the database."""
    return [name for name in accounts(database) if halted(database, name)]


def _halted_one(database: Database) -> str:
    names = _halted_accounts(database)
    if len(names) != 1:
        known = f"Halted: {', '.join(names)}" if names else "`atb status` shows who is"
        raise InputError("Say which account may trade again" if names else "No account is halted", todo=known)
    return names[0]


def _latch(switch: Switch, level: Level, account: str | None, *, reason: str, source: str) -> dict[str, Halt]:
    """Halt one account, or all of them; return the halt in force for each."""
    with _answering(switch) as database:
        names = accounts(database) if account is None else [known_account(database, account)]
        if not names:
            raise InputError(
                "No account ever traded here", todo="Halt every runner over this folder by its file: --file"
            )
        return {name: set_halt(database, name, level, reason=reason, source=source) for name in names}


@contextmanager
def _answering(switch: Switch) -> Iterator[Database]:
    """Open the database for the length of a block; turn its errors into a refusal.

    Raises
    ------
    SetupError
        If it does not answer.
    """
    try:
        with switch.journal() as database:
            yield database
    except SQLAlchemyError as lost:
        raise SetupError(f"The database does not answer: {str(lost).splitlines()[0]}") from lost


def _in_time(act: Callable[[], T], patience_s: float) -> T:
    """Call a function, but refuse when it takes too long: a kill switch does not wait for a server that hangs."""
    call = Call(act, "kill switch")
    if not call.wait(patience_s):
        raise _SilentError(f"The database did not answer within {patience_s:g} s")
    return call.result()

"""Errors of a database driver as one sentence for people: what is wrong, and what to do next."""

import re
import sqlite3

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from atb.errors import SetupError
from atb.redaction import MASK

# Words of SQLite's or PostgreSQL's message, their meaning, and what to do; the first match counts.
_MEANINGS = (
    (r"locked|busy|lock timeout|deadlock|could not serialize",
     "The database is busy: other processes kept it", "Repeat the command when they are done; `atb status` and `ps` show them"),
    (r"disk is full|No space left|disk quota|File too large|disk I/O error",
     "The disk refuses what is written", "Free some space, then repeat the command"),
    (r"readonly|read-only|unable to open|permission denied|attempt to write",
     "The database cannot be written", "Give this user the right to write the file and its folder, or name another database"),
    (r"not a database|file is encrypted",
     "The file is no SQLite database", "Move it away, or name another file"),
    (r"malformed|corrupt",
     "The database file is damaged", "Move it away and restore a backup; `sqlite3 FILE .recover` saves what can be read"),
    (r"no such (?:table|column|index)|has no column|relation .* does not exist|column .* does not exist",
     "The database lacks a part of its schema", "Restore a backup, or move it away: a new one is made at the next use"),
    ((r"could not connect|connection refused|could not translate|server closed|terminating connection|timeout expired|timed out"
     r"|connection (?:already closed|reset|not open|timeout)|SSL|the database system is|network|No route|is not accepting|lost"),
     "The database server cannot be used: it does not answer", "Start it, or check the setting database.url (ATB__DATABASE__URL)"),
    (r"authentication failed|no password supplied|role .* does not exist|database .* does not exist|no pg_hba",
     "The database server does not let atb in", "Check user, password and name in database.url (ATB__DATABASE__URL)"),
)  # fmt: skip
_PASSWORD = re.compile(r"(password=|://[^:@/\s]*:)[^@\s]*")


def refusal(problem: BaseException, *, found: str | None = None) -> SetupError | None:
    """Return a database's error as a `SetupError`; None for any other error, and for a bug of ours."""
    if not isinstance(problem, SQLAlchemyError | sqlite3.Error):
        return None
    text = problem.orig if isinstance(problem, DBAPIError) and problem.orig is not None else problem
    reason = _PASSWORD.sub(rf"\g<1>{MASK}", " ".join(str(text).split())[:200]) or type(text).__name__
    reason = ", ".join([reason, *getattr(text, "__notes__", ())])
    for pattern, wrong, todo in _MEANINGS:
        if re.search(pattern, reason, re.IGNORECASE):
            return SetupError(f"{wrong} ({reason})", found=found, todo=todo)
    return SetupError(f"The database cannot be used: {reason}", found=found, todo="Check the setting database.url")

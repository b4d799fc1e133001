"""Opens a database read-only where it cannot be written: on a full or read-only disk, by a user or a role that may only read.

`atb status` must answer on the night on which the disk is full. SQLite needs a file beside the database (`-shm`) even to read one
with a write-ahead log; where that cannot be made and there is no log, no process is writing, and the file is read as it stands
(`immutable`). A log that cannot be opened may hold rows that the file lacks: then nothing is shown rather than half of it.
"""

import sqlite3
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

from atb.db.database import Database, begin, open_database, server_engine, sqlite_file
from atb.db.migration import bring_to_head
from atb.db.types import dump_json
from atb.errors import SetupError

_NO_RIGHT = {"42501", "25006"}  # PostgreSQL: a missing right, and a server or role whose transactions only read
# Primary result codes of SQLite for a disk that cannot be written, or a missing right.
_UNWRITABLE = {
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
}


def open_to_read(url: str) -> Database:
    """Open the database at `url` as `open_database` does, or read-only if its file cannot be written.

    `Database.unwritable` then says why; every write in it fails.

    Raises
    ------
    SetupError
        As `open_database`, if reading is not possible either.
    """
    try:
        return open_database(url)
    except SetupError as error:
        if not _is_unwritable(error):
            raise
        path = sqlite_file(url)
        engine = _reading_server(url) if path is None else _reading(path) if path.is_file() else None
        if engine is None:
            raise
        return Database(engine, unwritable=error.wrong)


def _is_unwritable(refused: SetupError) -> bool:
    cause = refused.__cause__
    driver = getattr(cause, "orig", cause)
    code = getattr(driver, "sqlite_errorcode", 0)
    return (isinstance(code, int) and code & 0xFF in _UNWRITABLE) or getattr(driver, "pgcode", None) in _NO_RIGHT


def _reading_server(url: str) -> Engine | None:
    """Return an engine on a server's database of this schema, whose transactions only read; None if even that is refused."""
    engine = server_engine(url).execution_options(postgresql_readonly=True)
    try:
        with engine.connect() as connection:
            bring_to_head(connection, allowed=False)
    except SQLAlchemyError:
        engine.dispose()
        return None
    return engine


def _reading(path: Path) -> Engine | None:
    """Return a read-only engine on a file of this schema; None if even that is refused."""
    log = path.with_name(f"{path.name}-wal")
    settled = not log.exists() or log.stat().st_size == 0
    for options in ("mode=ro", "mode=ro&immutable=1")[: 1 + settled]:
        engine = _engine(path, options)
        try:
            with engine.execution_options(sqlite_begin="BEGIN").connect() as connection:
                bring_to_head(connection, allowed=False)
        except (SQLAlchemyError, sqlite3.Error):
            engine.dispose()
        else:
            return engine
    return None


def _engine(path: Path, options: str) -> Engine:
    def connect() -> sqlite3.Connection:
        return sqlite3.connect(f"file:{quote(str(path))}?{options}", uri=True, isolation_level=None)

    engine = create_engine(f"sqlite:///{path}", creator=connect, json_serializer=dump_json)
    event.listen(engine, "begin", begin)
    return engine

"""Opening a database: one URL in, a migrated and checked `Database` out."""

import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from atb.db.migration import bring_to_head
from atb.db.refusals import refusal
from atb.db.types import dump_json
from atb.errors import SetupError
from atb.files import make_private_file, make_private_folder
from atb.redaction import MASK
from atb.redaction.addresses import mask_url

BUSY_SECONDS = 30
_WRITING = "BEGIN IMMEDIATE"
_LONG_WAIT = 2.0  # seconds after which a waiting process retries more often
_LONG_PAUSE, _SHORT_PAUSE = 0.05, 0.01  # seconds at most between two tries
CONNECT_SECONDS = 10
RECYCLE_SECONDS = 1_800
IDLE_SECONDS = 60  # a transaction idle for so long belongs to a stalled process; the server ends it
# A server that vanished is noticed within half a minute, not after the system's default of two hours.
ALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 20_000}
_DRIVERS = {"postgres": "postgresql+psycopg2", "postgresql": "postgresql+psycopg2"}
_KNOWN = ("sqlite", "postgresql+psycopg2")
_TODO = "Check the settings database.url (ATB__DATABASE__URL) and, for the default database, data.root (--root)"


class Database:
    """An open database at the schema this code knows.

    Parameters
    ----------
    engine
        The engine behind it, for statements that need no objects.
    unwritable
        Why it can only be read; empty where it can be written.
    """

    def __init__(self, engine: Engine, *, unwritable: str = "") -> None:
        self.engine, self.unwritable = engine, unwritable
        self._file = _identity(engine.url)

    @property
    def there(self) -> bool:
        """Whether a database in a file is still the opened file; writes to a deleted file are lost."""
        return self._file is None or self._file == _identity(self.engine.url)

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.engine.dialect.name

    @property
    def label(self) -> str:
        """The address without its password."""
        return _shown(self.engine.url)

    @contextmanager
    def session(self, *, read_only: bool = False) -> Iterator[Session]:
        """Run a block in one transaction: committed at its end, rolled back when it raises.

        A writing session takes SQLite's write lock at once, so that its reads still hold when it writes; with
        `read_only` it waits for no other process, and every write fails.
        """
        options = {"sqlite_begin": "BEGIN", "postgresql_readonly": True} if read_only else {}
        with Session(self.engine.execution_options(**options), expire_on_commit=False) as session, session.begin():
            session.connection()  # begins now, not at the first statement
            yield session

    def close(self) -> None:
        """Return every connection."""
        self.engine.dispose()


def _identity(url: URL) -> tuple[int, int] | None:
    """Return device and inode of SQLite's file; None if there is none, or it was deleted."""
    if url.drivername != "sqlite" or not url.database or url.database.startswith("file:"):
        return None
    try:
        found = Path(url.database).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def open_database(url: str, *, migrate: bool = True, patience_s: float = BUSY_SECONDS) -> Database:
    """Open the database at `url` and upgrade its schema to this code's, or say in one sentence why not.

    Parameters
    ----------
    url
        `sqlite:///path/to/file.db` (made with its folder when missing), `postgresql://...` or `postgres://...`.
    migrate
        False refuses a schema that is not this code's, where True upgrades an older one.
    patience_s
        How long a statement waits, in seconds, while another process holds what it needs.

    Raises
    ------
    SetupError
        The URL is malformed or of another database, the server cannot be reached, the file cannot be written or is no
        database, or the schema is newer than the code. Passwords never appear in the message.
    """
    parsed = _parse(url)
    if parsed.drivername == "sqlite":
        parsed = _prepare_file(parsed)
    engine = _engine(parsed, patience_s)
    try:
        with _migrating(engine) as connection:
            bring_to_head(connection, allowed=migrate)
            connection.exec_driver_sql(
                "UPDATE alembic_version SET version_num = version_num WHERE 1 = 0"
            )  # may it write?
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise _refused(parsed, error) from error
    finally:
        engine.dispose()
    return Database(engine)


def sqlite_file(url: str) -> Path | None:
    """Return the file of an SQLite database; None for a server, and for a URL of SQLite's own kind (`file:...`)."""
    parsed = _parse(url)
    name = parsed.database or ""
    if parsed.drivername != "sqlite" or name in {"", ":memory:"} or name.startswith("file:"):
        return None
    return Path(name).expanduser().absolute()


def server_engine(url: str) -> Engine:
    """Return the engine of a database on a server, not connected yet.

    Raises
    ------
    SetupError
        The URL is malformed or of another database.
    """
    return _engine(_parse(url))


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url.strip())
    except (ArgumentError, ValueError):
        raise SetupError("The database URL is malformed", found=mask_url(url), todo=_TODO) from None
    parsed = parsed.set(drivername=_DRIVERS.get(parsed.drivername, parsed.drivername))
    if parsed.drivername not in _KNOWN:
        raise SetupError("atb keeps its records in SQLite or PostgreSQL", found=_shown(parsed), todo=_TODO)
    return parsed


def _shown(url: URL) -> str:
    return mask_url(url.render_as_string(hide_password=True))


def _prepare_file(url: URL) -> URL:
    """Return the URL with an absolute path whose folder exists."""
    name = url.database or ""
    if name in {"", ":memory:"}:
        raise SetupError(
            "A database in memory would forget every order", found=str(url), todo="Name a file: sqlite:///atb.db"
        )
    if name.startswith("file:"):
        return url
    path = Path(name).expanduser().absolute()
    try:
        make_private_folder(path.parent)
        if not path.exists():
            make_private_file(path)  # SQLite gives its log the same mode
    except OSError as error:
        raise SetupError(f"The database cannot be made there ({error.strerror})", found=str(path), todo=_TODO) from None
    if path.is_dir():
        raise SetupError("The database file is a folder", found=str(path), todo=_TODO)
    return url.set(database=str(path))


def _engine(url: URL, patience_s: float = BUSY_SECONDS) -> Engine:
    if url.drivername == "sqlite":
        engine = create_engine(url, json_serializer=dump_json, connect_args={"timeout": patience_s})
        event.listen(engine, "connect", lambda connection, _: _set_pragmas(connection, patience_s))
        event.listen(engine, "begin", begin)
        return engine
    options = {"connect_timeout": CONNECT_SECONDS, **ALIVE}
    engine = create_engine(
        url,
        json_serializer=dump_json,
        pool_pre_ping=True,
        pool_recycle=RECYCLE_SECONDS,
        connect_args={name: value for name, value in options.items() if name not in url.query},
    )
    event.listen(engine, "connect", lambda connection, _: _set_patience(connection, patience_s))
    return engine


def _set_patience(connection: DBAPIConnection, patience_s: float) -> None:
    """Bound the wait for locks; set here rather than in the address, which a connection pooler may not pass on."""
    cursor = connection.cursor()
    cursor.execute(f"SET lock_timeout = {round(patience_s * 1_000)}")
    cursor.execute(f"SET idle_in_transaction_session_timeout = {IDLE_SECONDS * 1_000}")
    cursor.close()
    connection.commit()


def _set_pragmas(connection: sqlite3.Connection, patience_s: float) -> None:
    """Make commits durable and enforce foreign keys; the driver's implicit transactions are switched off."""
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=FULL")
    if _patiently(lambda: connection.execute("PRAGMA journal_mode=WAL").fetchone()[0], patience_s) != "wal":
        raise sqlite3.OperationalError("this file system has no write-ahead log")


def _patiently(step: Callable[[], Any], patience_s: float) -> Any:
    """Repeat a step while another process holds the file, for at most `patience_s` seconds.

    SQLite does not wait for the switch to WAL, and elsewhere it retries ever more rarely, so that late arrivals are served first
    and one of many processes may starve for minutes. Here pauses are random, and a process that has waited long retries more often.
    """
    began = time.monotonic()
    while True:
        try:
            return step()
        except (sqlite3.OperationalError, OperationalError) as error:
            waited = time.monotonic() - began
            if not _is_busy(error) or waited > patience_s:
                if _is_busy(error):
                    getattr(error, "orig", error).add_note(f"waited {waited:.0f} s")
                raise
            time.sleep(random.uniform(0.001, _LONG_PAUSE if waited < _LONG_WAIT else _SHORT_PAUSE))  # noqa: S311 - no secret


def _is_busy(problem: BaseException) -> bool:
    return any(word in str(problem) for word in ("is locked", "is busy"))


def begin(connection: Connection) -> None:
    """Begin a transaction; a writing one takes SQLite's write lock at once, and waits for it here."""
    statement = connection.get_execution_options().get("sqlite_begin", _WRITING)
    if statement != _WRITING:
        connection.exec_driver_sql(statement)
        return
    driver: Any = connection.connection.dbapi_connection
    patience_ms = driver.execute("PRAGMA busy_timeout").fetchone()[0]
    driver.execute("PRAGMA busy_timeout=0")
    try:
        # By the driver: a try costs microseconds there, and fifty processes that wait leave the machine to the one that writes.
        _patiently(lambda: driver.execute(_WRITING), patience_ms / 1_000)
    except sqlite3.OperationalError as error:
        raise OperationalError(_WRITING, None, error) from error
    finally:
        driver.execute(f"PRAGMA busy_timeout={patience_ms}")


@contextmanager
def _migrating(engine: Engine) -> Iterator[Connection]:
    """Open one transaction in which no other process migrates: by SQLite's write lock or PostgreSQL's advisory lock.

    Foreign keys are off on SQLite meanwhile: a migration may rebuild a table, which drops the old one.
    """
    sqlite = engine.dialect.name == "sqlite"
    with engine.connect() as connection:
        driver = connection.connection.dbapi_connection
        if sqlite and driver is not None:
            driver.execute("PRAGMA foreign_keys=OFF")
        with connection.begin():
            if not sqlite:
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7216410)")
            yield connection
            if sqlite:
                _check_references(connection)


def _check_references(connection: Connection) -> None:
    """Refuse a database with rows that point at missing rows.

    Raises
    ------
    SetupError
        Naming both tables of the first such row.
    """
    orphan = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchone()
    if orphan is not None:
        raise SetupError(
            f"A row of the table {orphan[0]!r} points at one of {orphan[2]!r} that is not there",
            todo="Another program deleted it, or a migration broke off: restore a backup",
        )


def _refused(url: URL, problem: SQLAlchemyError | sqlite3.Error) -> SetupError:
    refused = refusal(problem, found=_shown(url))
    assert refused is not None
    if not url.password:
        return refused
    wrong = refused.wrong.replace(str(url.password), MASK)
    return SetupError(wrong, found=refused.found, todo=refused.todo)

"""Schema revisions: which one a database has, and its upgrade to the newest one by Alembic.

Alembic loads migrations by their path, past `atb.sources`: byte code beside them must not stand in for them either.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from atb.errors import SetupError

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0006"  # a test compares it with the newest file in migrations/versions
FOLDER = Path(__file__).parent / "migrations"


def current_revision(connection: Connection) -> str | None:
    """Return the revision of a database; None if atb has never written to it."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def bring_to_head(connection: Connection, *, allowed: bool = True) -> None:
    """Upgrade an older schema inside the connection's transaction; an up-to-date one costs two queries and no import.

    Raises
    ------
    SetupError
        The schema is newer than the code, or older while upgrading is not `allowed`.
    """
    found = current_revision(connection)
    if found != HEAD:
        with _quiet_alembic():
            _climb(connection, found, allowed=allowed)
    _require_tables(connection)


def _require_tables(connection: Connection) -> None:
    """Refuse a database of this schema that lacks a table, since it was dropped.

    Raises
    ------
    SetupError
        Naming what is missing.
    """
    from atb.db.tables import RunRow

    missing = sorted(set(RunRow.metadata.tables) - set(inspect(connection).get_table_names()))
    if missing:
        what = "the table" if len(missing) == 1 else "the tables"
        raise SetupError(
            f"The database lacks {what} {', '.join(missing)}",
            todo="Restore a backup; or move the database away, and a new and empty one is made at the next use",
        )


def _climb(connection: Connection, found: str | None, *, allowed: bool) -> None:
    if found is not None and found not in known_revisions():
        raise SetupError("The database was written by a newer atb", found=found, todo="Update atb")
    if not allowed:
        raise SetupError("The database has an older schema", found=found, todo="Open it once with migrations allowed")
    upgrade(connection, HEAD)


@contextmanager
def _quiet_alembic() -> Iterator[None]:
    """Keep Alembic's info messages off the terminal, for the length of a block; its warnings stay."""
    logger = logging.getLogger("alembic")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)


def known_revisions() -> set[str]:
    """Return every revision this code has a migration for."""
    from alembic.script import ScriptDirectory

    with _from_sources():
        return {script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()}


def upgrade(connection: Connection, revision: str) -> None:
    """Run migrations upwards to `revision` inside the connection's transaction."""
    from alembic import command

    with _from_sources():
        command.upgrade(alembic_config(connection), revision)


def downgrade(connection: Connection, revision: str) -> None:
    """Run migrations downwards to `revision` (`base` removes everything) inside the connection's transaction."""
    from alembic import command

    with _from_sources():
        command.downgrade(alembic_config(connection), revision)


@contextmanager
def _from_sources() -> Iterator[None]:
    """Compile every module imported in a block from its source, and write no byte code."""
    before = sys.pycache_prefix, sys.dont_write_bytecode
    with TemporaryDirectory(prefix="atb-") as empty:
        sys.pycache_prefix, sys.dont_write_bytecode = empty, True
        try:
            yield
        finally:
            sys.pycache_prefix, sys.dont_write_bytecode = before


def alembic_config(connection: Connection | None = None) -> "Config":
    """Return Alembic's configuration, built in code so that an installed package needs no file."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config

"""The database: one schema on SQLite and PostgreSQL, migrated when it is opened."""

from atb.db.database import Database, open_database
from atb.db.reading import open_to_read

__all__ = ["Database", "open_database", "open_to_read"]


def __dir__() -> list[str]:
    """Return the public names, loaded or not: what a notebook completes to."""
    return sorted(__all__)

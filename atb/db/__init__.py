"""The database: one schema on SQLite and PostgreSQL, migrated when it is opened."""

from atb.db.database import Database, open_database

__all__ = ["Database", "open_database"]


def __dir__() -> list[str]:
    """Return the public names, loaded or not: what a notebook completes to."""
    return sorted(__all__)

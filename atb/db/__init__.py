"""The database: one schema on SQLite and PostgreSQL, migrated when it is opened."""

from atb.db.database import Database, open_database

__all__ = ["Database", "open_database"]

"""Every database test runs on SQLite and on PostgreSQL."""

from tests.database import database, database_url, postgres

__all__ = ["database", "database_url", "postgres"]

"""Desks and databases as the runner's tests have them."""

from tests.live.conftest import database, database_url, desk, postgres, quiet, sqlite_desk

__all__ = ["database", "database_url", "desk", "postgres", "quiet", "sqlite_desk"]

"""The fixtures of a desk, for flows that cross process borders."""

from tests.live.conftest import database_url, desk, postgres, quiet, sqlite_desk

__all__ = ["database_url", "desk", "postgres", "quiet", "sqlite_desk"]

"""A desk of a test's own, on SQLite and on PostgreSQL."""

import pytest

from atb.monitoring import configure_logging
from tests.database import database, database_url, migrated_sqlite, postgres
from tests.live.desk import Desk

__all__ = ["database", "database_url", "desk", "postgres", "quiet", "sqlite_desk"]


@pytest.fixture
def desk(tmp_path, database_url) -> Desk:
    return Desk(tmp_path, database_url)


@pytest.fixture
def sqlite_desk(tmp_path) -> Desk:
    (tmp_path / "atb.db").write_bytes(migrated_sqlite())
    (tmp_path / "atb.db").chmod(0o600)
    return Desk(tmp_path, f"sqlite:///{tmp_path / 'atb.db'}")


@pytest.fixture(autouse=True)
def quiet():
    """Log refusals and worse only: a fill is no news here."""
    configure_logging("WARNING")

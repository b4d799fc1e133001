"""Monthly partitions of the tables that grow without end, on PostgreSQL; on SQLite they are plain tables and nothing is done.

A partition must exist before the first row of its month: the journal makes it, together with the next month's.
A month that is over can be detached: its rows leave the table at once and stay in a table of their own, to be dumped and dropped.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple, Self

from sqlalchemy import Connection, text

from atb.db.database import Database
from atb.errors import InputError

# Table and the column, epoch milliseconds, that says which month a row is in.
PARTITIONED = {"decision": "bar_ms", "equity": "bar_ms", "order_event": "time_ms"}
_LOCK = 7_216_411  # two processes may need the same month at once
_NAME = re.compile(rf"({'|'.join(PARTITIONED)})_y(\d{{4,}})m(\d\d)")
_ATTACHED = text(
    "SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid "
    "JOIN pg_class parent ON parent.oid = inhparent "
    "WHERE parent.relname = :of AND parent.relnamespace = to_regnamespace(current_schema()) ORDER BY child.relname"
)


class Month(NamedTuple):
    """A calendar month, UTC."""

    year: int
    number: int

    @classmethod
    def of(cls, time_ms: int) -> Self:
        """Return the month that a moment is in."""
        moment = datetime.fromtimestamp(time_ms / 1000, UTC)
        return cls(moment.year, moment.month)

    @property
    def next(self) -> "Month":
        """The month after."""
        return Month(self.year + self.number // 12, self.number % 12 + 1)

    @property
    def start_ms(self) -> int:
        """Its first moment, epoch milliseconds."""
        return int(datetime(self.year, self.number, 1, tzinfo=UTC).timestamp()) * 1000

    def partition_of(self, table: str) -> str:
        """Return the name of a table's partition for this month."""
        return f"{table}_y{self.year:04d}m{self.number:02d}"


def is_partition(name: str | None) -> bool:
    """Return whether a table's name is that of a partition; the code's own tables know nothing of partitions."""
    return name is not None and _NAME.fullmatch(name) is not None


def ensure_months(connection: Connection, months: Iterable[Month]) -> None:
    """Create the missing partitions of some months, in the connection's transaction.

    They are attached rather than made in place: that waits for no reader of the table.
    """
    if connection.dialect.name != "postgresql":
        return
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    for table, column in PARTITIONED.items():
        existing = set(connection.scalars(_ATTACHED, {"of": table}))
        for month in sorted(set(months)):
            if month.partition_of(table) not in existing:
                _attach(connection, table, column=column, month=month)


def _attach(connection: Connection, table: str, *, column: str, month: Month) -> None:
    name, since, until = month.partition_of(table), month.start_ms, month.next.start_ms
    # A detached partition is attached again with its rows; the check constraint saves the server a scan of them.
    connection.execute(text(f"CREATE TABLE IF NOT EXISTS {name} (LIKE {table} INCLUDING DEFAULTS)"))
    bounds = f"CHECK ({column} IS NOT NULL AND {column} >= {since} AND {column} < {until})"
    connection.execute(text(f"ALTER TABLE {name} ADD CONSTRAINT bounds {bounds}"))
    connection.execute(text(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({since}) TO ({until})"))
    connection.execute(text(f"ALTER TABLE {name} DROP CONSTRAINT bounds"))


def partitions(database: Database, table: str) -> list[str]:
    """Return the names of a table's partitions, oldest first; none on SQLite.

    Raises
    ------
    InputError
        If the table is not partitioned.
    """
    if table not in PARTITIONED:
        raise InputError("Not a partitioned table", found=table, todo=f"Known: {', '.join(PARTITIONED)}")
    if database.dialect != "postgresql":
        return []
    with database.engine.connect() as connection:
        return list(connection.scalars(_ATTACHED, {"of": table}))

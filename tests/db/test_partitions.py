"""Monthly partitions: created before the first row of a month, used by queries for one month, and detachable."""

from datetime import UTC, datetime
from decimal import Decimal
from threading import Thread

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from atb.db.partitions import PARTITIONED, Month, ensure_months, is_partition, partitions
from atb.db.tables import EquityRow
from atb.errors import InputError
from tests.db.test_types import session_row

DECEMBER, JANUARY = Month(2023, 12), Month(2024, 1)


def equity(month: Month, offset_ms: int = 0) -> EquityRow:
    return EquityRow(session_id="s1", bar_ms=month.start_ms + offset_ms, equity=Decimal(1), cash=Decimal(1))


def stocked(database) -> None:
    with database.session() as session:
        ensure_months(session.connection(), [DECEMBER, JANUARY])
        session.add_all([session_row(), equity(DECEMBER), equity(DECEMBER, 1), equity(JANUARY), equity(JANUARY, -1)])


def bars(database) -> list[int]:
    with database.session(read_only=True) as session:
        return list(session.scalars(select(EquityRow.bar_ms).order_by(EquityRow.bar_ms)))


@pytest.mark.parametrize(
    "moment", [datetime(2023, 12, 31, 23, 59, 59, 999_000, UTC), datetime(2023, 12, 1, tzinfo=UTC)]
)
def test_a_moment_is_in_its_month_and_the_year_turns(moment):
    assert Month.of(int(moment.timestamp() * 1000)) == DECEMBER
    assert DECEMBER.next == JANUARY
    assert JANUARY.start_ms == 1_704_067_200_000


def test_partitions_are_told_from_tables():
    assert is_partition(DECEMBER.partition_of("equity"))
    assert not any(is_partition(name) for name in ("equity", None, "trade_y2024m01", "equity_y2024m1"))


def test_rows_of_every_month_are_kept_and_found(database):
    stocked(database)
    first = DECEMBER.start_ms
    assert bars(database) == [first, first + 1, JANUARY.start_ms - 1, JANUARY.start_ms]


def test_months_are_made_once_however_often_they_are_asked_for(database):
    stocked(database)
    with database.session() as session:
        ensure_months(session.connection(), [JANUARY, JANUARY.next])
    wanted = [DECEMBER, JANUARY, JANUARY.next]
    for table in PARTITIONED:
        names = [month.partition_of(table) for month in wanted] if database.dialect == "postgresql" else []
        assert partitions(database, table) == names


def test_several_processes_may_need_the_same_month_at_once(database):
    problems = []

    def ensure() -> None:
        try:
            with database.session() as session:
                ensure_months(session.connection(), [JANUARY])
        except Exception as problem:
            problems.append(problem)

    threads = [Thread(target=ensure) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_making_a_month_waits_for_no_reader(database):
    stocked(database)
    with database.session(read_only=True) as reader:
        reader.scalars(select(EquityRow.bar_ms)).all()
        with database.session() as session:
            session.execute(text("SET LOCAL lock_timeout = 1000")) if database.dialect == "postgresql" else None
            ensure_months(session.connection(), [JANUARY.next])


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_month_is_read_without_touching_the_others(database):
    stocked(database)
    with database.session() as session:
        query = f"EXPLAIN SELECT * FROM equity WHERE bar_ms >= {JANUARY.start_ms}"
        plan = "\n".join(session.scalars(text(query)))
    assert JANUARY.partition_of("equity") in plan
    assert DECEMBER.partition_of("equity") not in plan


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_month_that_was_detached_with_its_rows_comes_back_with_them(database):
    stocked(database)
    with database.session() as session:
        for table in PARTITIONED:
            session.execute(text(f"ALTER TABLE {table} DETACH PARTITION {DECEMBER.partition_of(table)}"))
    assert bars(database) == [JANUARY.start_ms]
    with database.session() as session:
        assert session.scalar(text(f"SELECT count(*) FROM {DECEMBER.partition_of('equity')}")) == 3
    with database.session() as session:
        ensure_months(session.connection(), [DECEMBER])
    assert len(bars(database)) == 4


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_row_of_a_month_that_is_not_there_is_refused_not_lost(database):
    with pytest.raises(IntegrityError, match="no partition"), database.session() as session:
        session.add_all([session_row(), equity(JANUARY)])


def test_only_partitioned_tables_have_partitions(database):
    with pytest.raises(InputError, match="decision, equity, order_event"):
        partitions(database, "trade")

"""Column types: what goes in comes out equal on both dialects, or is refused."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pytest
from sqlalchemy import select, text

from atb.db.partitions import Month, ensure_months
from atb.db.tables import EquityRow, EventRow, LeaseRow, SessionRow
from atb.errors import InputError

EXACT = [
    "0.1",
    "1E-8",
    "123456789012345678901234567890.123456789012345678",
    "0.10",
    "-0.00000001",
    "1E+3",
    "0",
    "-0",
    "1e-40",
]


def session_row(**changes) -> SessionRow:
    columns = {
        "session_id": "s1", "account": "paper", "mode": "paper", "key": "0" * 64, "cash": Decimal(10_000),
        "trade_from_ms": 1_700_000_000_000, "status": "running", "versions": {}, "config": {},
    }  # fmt: skip
    return SessionRow(**columns | changes)


@pytest.mark.parametrize("digits", EXACT)
def test_a_decimal_comes_back_equal(database, digits):
    with database.session() as session:
        session.add(session_row(cash=Decimal(digits)))
    with database.session() as session:
        assert session.get_one(SessionRow, "s1").cash == Decimal(digits)


def test_a_decimal_is_kept_as_text_on_sqlite_and_as_numeric_on_postgresql(database):
    with database.session() as session:
        session.add(session_row(cash=Decimal("0.1") + Decimal("0.2")))
    kind = "typeof(cash)" if database.dialect == "sqlite" else "pg_typeof(cash)::text"
    with database.session() as session:
        assert session.scalar(text(f"SELECT {kind} FROM session")) == (
            "text" if database.dialect == "sqlite" else "numeric"
        )
        assert str(session.get_one(SessionRow, "s1").cash) == "0.3"


REFUSED = [0.1, 1.0, True, "0.1", np.float64(1), Decimal("NaN"), Decimal("Infinity"), Decimal("1e70"), Decimal("1e-70")]


@pytest.mark.parametrize("amount", REFUSED, ids=repr)
def test_an_inexact_amount_is_refused_and_nothing_is_written(database, amount):
    with pytest.raises(InputError, match="An amount"), database.session() as session:
        session.add_all([session_row(session_id="before"), session_row(cash=amount)])
    with database.session() as session:
        assert session.scalars(select(SessionRow)).all() == []


def test_a_whole_number_is_an_exact_amount(database):
    with database.session() as session:
        session.add(session_row(cash=7))
    with database.session() as session:
        assert session.get_one(SessionRow, "s1").cash == Decimal(7)


def test_times_come_back_aware_and_in_utc(database):
    moment = datetime(2024, 3, 31, 3, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    with database.session() as session:
        session.add(session_row(started_at=moment))
    with database.session() as session:
        found = session.get_one(SessionRow, "s1").started_at
    assert found == moment
    assert found.tzinfo is UTC


def test_a_naive_time_is_refused(database):
    with pytest.raises(InputError, match="needs its zone"), database.session() as session:
        session.add(session_row(started_at=datetime(2024, 1, 1)))  # noqa: DTZ001 - the mistake under test


@pytest.mark.parametrize("value", [float("nan"), Decimal(1), datetime(2024, 1, 1, tzinfo=UTC), {1, 2}], ids=str)
def test_json_refuses_what_it_cannot_hold(database, value):
    with pytest.raises(InputError, match="JSON column"), database.session() as session:
        session.add(session_row(config={"value": value}))


def test_json_comes_back_as_it_was(database):
    config = {"text": 'ß ₿ "quoted"', "number": 0.1 + 0.2, "whole": 2**53, "list": [1, None, True], "deep": {"a": {}}}
    with database.session() as session:
        session.add(session_row(config=config))
    with database.session() as session:
        assert session.get_one(SessionRow, "s1").config == config


def test_epoch_milliseconds_and_event_numbers_are_wider_than_32_bits(database):
    with database.session() as session:
        session.add_all([session_row(), LeaseRow(account="a", epoch=2**40, holder="h", until_ms=2**45)])
        ensure_months(session.connection(), [Month.of(1_700_000_000_000)])
        session.add(EquityRow(session_id="s1", bar_ms=1_700_000_000_000, equity=Decimal(1), cash=Decimal(1)))
        session.add_all([EventRow(severity="info", kind="start", detail={}) for _ in range(3)])
    with database.session() as session:
        assert session.get_one(LeaseRow, "a").until_ms == 2**45
        assert session.scalars(select(EventRow.id).order_by(EventRow.id)).all() == [1, 2, 3]

"""The base of all tables: names of constraints, column types of Python types, and recurring columns."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Integer, MetaData, Text
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeEngine

from atb.db.types import ExactDecimal, StrictJson, UtcDateTime

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

Json = dict[str, Any]
# SQLite numbers rows by itself only in a column declared exactly INTEGER.
RowNumber = BigInteger().with_variant(Integer(), "sqlite")


class Table(DeclarativeBase):
    """The tables' common base."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map: ClassVar[dict[Any, type[TypeEngine[Any]] | TypeEngine[Any]]] = {
        Decimal: ExactDecimal,
        datetime: UtcDateTime,
        Json: StrictJson,
        list[Json]: StrictJson,
        str: Text,
    }


def now() -> datetime:
    """Return the machine's present time in UTC, with its zone."""
    return datetime.now(UTC)


def one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    """Restrict a column to some words."""
    return CheckConstraint(f"{column} IN ({', '.join(repr(value) for value in values)})", name=column)


def of_session() -> ForeignKey:
    """Point at a session; checked at commit, so that the rows of one transaction may be added in any order."""
    return ForeignKey("session.session_id", deferrable=True, initially="DEFERRED")

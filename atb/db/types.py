"""Column types that mean the same on SQLite and PostgreSQL: exact decimals, UTC times, strict JSON."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, Numeric, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DontWrapMixin
from sqlalchemy.types import TypeDecorator, TypeEngine

from atb.errors import InputError

LARGEST_EXPONENT = 60  # far above any price, quantity or fee; a wrong exponent exceeds it

StrictJson = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


class UnstorableError(InputError, DontWrapMixin):
    """A value cannot be stored without changing it; SQLAlchemy lets this error through unwrapped."""


class ExactDecimal(TypeDecorator[Decimal]):
    """An amount that is read back equal to the stored one.

    PostgreSQL keeps a NUMERIC without precision. SQLite knows only binary floats, so the digits are kept as TEXT there:
    order and add amounts in Python, since the text sorts like words.
    """

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return TEXT on SQLite and NUMERIC elsewhere."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else Numeric(asdecimal=True))

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        """Check an amount before it is stored; floats, booleans, NaN and infinities are refused."""
        if value is None:
            return None
        exact = _exact(value)
        return format(exact, "f") if dialect.name == "sqlite" else exact

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002 - the base's signature
        """Return the amount as a Decimal."""
        return None if value is None else Decimal(value)


def _exact(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, Decimal | int):
        raise UnstorableError(
            "An amount must be a Decimal", found=value, todo="Convert it once, at the edge: Decimal(str(value))"
        )
    exact = Decimal(value)
    if not exact.is_finite():
        raise UnstorableError("An amount must be a finite number", found=str(exact))
    if exact and abs(exact.adjusted()) > LARGEST_EXPONENT:
        raise UnstorableError("An amount is beyond every market", found=str(exact))
    return exact or exact.copy_abs()  # minus zero is zero


class UtcDateTime(TypeDecorator[datetime]):
    """A time zone aware moment in UTC, stored and read; SQLite stores it without the zone, which is always UTC."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return a time with zone where the database has one."""
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC; a naive time is refused, since its zone is unknown."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise UnstorableError("A time needs its zone", found=value.isoformat(), todo="Use datetime.now(UTC)")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - as there
        """Return the moment, aware, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def dump_json(value: object) -> str:
    """Return strict JSON text; what JSON cannot hold (NaN, Decimal, a date) is refused, not converted."""
    try:
        return json.dumps(value, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        wrong = f"A JSON column cannot hold this value: {error}"
        raise UnstorableError(wrong, todo="Convert it before storing") from None

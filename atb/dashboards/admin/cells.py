"""Cells of the admin's tables: how values are shown, and exported so that no spreadsheet takes one for a formula."""

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

LONGEST = 160  # characters of a value in a list; its own page shows all
_PLAIN_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
_FORMULA = re.compile(r"\s*[=+\-@\u2212\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")


def harmless(cell: str) -> str:
    """Return an exported cell with an apostrophe before whatever a spreadsheet would run: = + - @ and control characters.

    >>> harmless("=cmd|'/c calc'!A1"), harmless("-0.25"), harmless("-2+3"), harmless("BTC/USDT")
    ("'=cmd|'/c calc'!A1", '-0.25', "'-2+3", 'BTC/USDT')
    """
    return f"'{cell}" if _FORMULA.match(cell) and not _PLAIN_NUMBER.fullmatch(cell) else cell


def as_text(value: object, *, is_ms: bool = False) -> str:
    """Return a value of a column with all that it holds; `is_ms` names epoch milliseconds, shown as a time in UTC."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if is_ms and isinstance(value, int):
        return _moment(value)
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    if isinstance(value, Decimal):
        return f"{value:f}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)


def shortened(text: str) -> str:
    """Return the beginning of a long text."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"


def _moment(time_ms: int) -> str:
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms)
    except OverflowError:
        return str(time_ms)
    return f"{moment:%Y-%m-%d %H:%M:%S}" + (f".{time_ms % 1000:03d}" if time_ms % 1000 else "")

"""The journal as commands open it, and accounts as people type them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from atb.cli.output import start
from atb.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from atb.config import Settings
    from atb.db import Database


@contextmanager
def journal(settings: "Settings | None" = None) -> Iterator["Database"]:
    """Open the database of the settings for the length of a block; a runner that is at work is not in the way."""
    from atb.db import open_database

    database = open_database((settings or start()).database.url)
    try:
        yield database
    finally:
        database.close()


def known_account(database: "Database", name: str) -> str:
    """Return the account of this name.

    Raises
    ------
    InputError
        If it never traded here, with the one that was probably meant.
    """
    from atb.live.overview import accounts

    known = accounts(database)
    if name not in known:
        raise InputError("No such account", found=name, todo=did_you_mean(name, known))
    return name


def canonical_symbol(text: str | None) -> str | None:
    """Return a symbol as it is kept: `BTCUSDT` is `BTC/USDT`."""
    from atb.domain import Symbol

    return None if text is None else str(Symbol.parse(text))

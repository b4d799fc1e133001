"""Access of commands to the journal: the open database, and symbols and strategies as people type them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from atb.cli.output import print_note, start
from atb.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from atb.config import Settings
    from atb.db import Database


@contextmanager
def journal(settings: "Settings | None" = None, *, reading: bool = False) -> Iterator["Database"]:
    """Open the database of the settings for the length of a block; a runner that is at work is not in the way.

    A block that is only `reading` gets one that cannot be written, too, after that was said on standard error.
    """
    from atb.db import open_database, open_to_read

    database = (open_to_read if reading else open_database)((settings or start()).database.url)
    if database.unwritable:
        print_note(f"{database.unwritable}; what it holds can be read")
    try:
        yield database
    finally:
        database.close()


def known_strategy(database: "Database", name: str) -> str:
    """Return the strategy of this name.

    Raises
    ------
    InputError
        If it is not registered and never traded here, with the one that was probably meant.
    """
    from atb.live.journal.overview import strategies
    from atb.strategies import strategy_names

    known = {*strategies(database), *strategy_names()}
    if name not in known:
        raise InputError("No such strategy", found=name, todo=did_you_mean(name, known))
    return name


def canonical_symbol(text: str | None) -> str | None:
    """Return a symbol as it is kept: `BTCUSDT` is `BTC/USDT`."""
    from atb.domain import Symbol

    return None if text is None else str(Symbol.parse(text))

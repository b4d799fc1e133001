"""Trading rules by venue, kept beside its bars: `<root>/<venue>/instruments.json`."""

import json
from decimal import Decimal
from pathlib import Path

from atb.data.atomic import sole_writer, write_files
from atb.domain import Instrument, Symbol
from atb.domain.bars import SYNTHETIC
from atb.errors import AtbError, DataError
from atb.reading import MIB, read_json

_FILE = "instruments.json"


def load_instrument(symbol: str | Symbol, *, root: Path, venue: str | None = None) -> Instrument:
    """Return the rules downloaded from the venue; the usual ones of a large spot exchange if there are none.

    `instrument_note` says which of the two it was. The synthetic market has rules of its own.

    Raises
    ------
    DataError
        If the stored rules cannot be read.
    """
    wanted = Symbol.parse(symbol)
    stored = _stored(root, venue or SYNTHETIC).get(str(wanted))
    return Instrument.from_json(stored) if stored else default_instrument(wanted, venue=venue)


def instrument_note(symbol: str | Symbol, *, root: Path, venue: str | None = None) -> str:
    """Return one sentence that says where `load_instrument` has the rules from."""
    wanted = Symbol.parse(symbol)
    if str(wanted) in _stored(root, venue or SYNTHETIC):
        return f"Trading rules of {wanted} as {venue or SYNTHETIC} gave them"
    rules = default_instrument(wanted, venue=venue)
    of_whom = (
        "of the synthetic market" if venue == SYNTHETIC else f"by default, none of {venue or 'a venue'} are stored"
    )
    return f"Trading rules of {wanted} {of_whom}: tick {rules.tick}, lot {rules.lot}, minimum {rules.min_notional}"


def default_instrument(symbol: Symbol, *, venue: str | None = None) -> Instrument:
    """Return rules for a venue that has given none: the synthetic market's own, or Binance's for its largest pairs."""
    if venue == SYNTHETIC:
        return Instrument(symbol, lot=Decimal("0.00001"), min_quantity=Decimal("0.00001"), min_notional=Decimal(5))
    return Instrument(symbol)


def save_instruments(instruments: list[Instrument], *, root: Path, venue: str) -> Path:
    """Add rules to the venue's file, replacing those of the same symbols.

    Returns
    -------
    Path
        The file.
    """
    path = root / venue / _FILE
    with sole_writer(path.parent):
        rules = _stored(root, venue) | {str(one.symbol): one.to_json() for one in instruments}
        write_files({path: (json.dumps(rules, indent=2, sort_keys=True) + "\n").encode()})
    return path


def _stored(root: Path, venue: str) -> dict[str, dict[str, str]]:
    path = root / venue / _FILE
    try:
        rules = read_json(path, most=16 * MIB)
        for values in rules.values():
            Instrument.from_json(values)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, TypeError, AtbError) as error:
        raise DataError(
            "The trading rules cannot be read", found=str(path), todo="Delete the file and download the series again"
        ) from error
    return dict(rules)

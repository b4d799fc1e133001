"""Market data: the Parquet catalogue, imports, downloads and a synthetic market.

Reading needs pandas and pyarrow only; what talks to an exchange loads ccxt when it is called. A public name is imported when it is
asked for: a runner reads the catalogue, and pins no importer.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atb.data.catalogue import load_bars
    from atb.data.importing import ImportReport, ImportRules, import_file
    from atb.data.instruments import load_instrument, rules_of, save_instruments
    from atb.data.listing import SeriesInfo, Verdict, list_series, verify
    from atb.data.sample import sample_bars, write_sample
    from atb.data.storing import Saved, save_bars

_HOMES = {
    "ImportReport": "importing",
    "ImportRules": "importing",
    "Saved": "storing",
    "SeriesInfo": "listing",
    "Verdict": "listing",
    "import_file": "importing",
    "list_series": "listing",
    "load_bars": "catalogue",
    "load_instrument": "instruments",
    "rules_of": "instruments",
    "sample_bars": "sample",
    "save_bars": "storing",
    "save_instruments": "instruments",
    "verify": "listing",
    "write_sample": "sample",
}

__all__ = [
    "ImportReport",
    "ImportRules",
    "Saved",
    "SeriesInfo",
    "Verdict",
    "import_file",
    "list_series",
    "load_bars",
    "load_instrument",
    "rules_of",
    "sample_bars",
    "save_bars",
    "save_instruments",
    "verify",
    "write_sample",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names, for completion."""
    return sorted(__all__)

"""Market data: the Parquet catalogue, imports, downloads and a synthetic market.

Reading needs pandas and pyarrow only; what talks to an exchange loads ccxt when it is called. A public name is imported when it is
asked for: a runner reads the catalogue, and pins no importer.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atb.data.catalogue import load_bars
    from atb.data.catalogue.funding import funding_holes, load_funding
    from atb.data.catalogue.instruments import load_instrument, rules_of, save_instruments
    from atb.data.catalogue.sentiment import load_sentiment
    from atb.data.catalogue.universes import derive_universe, load_universe, save_universe
    from atb.data.catalogue.verification import SeriesInfo, Verification, list_series, verify
    from atb.data.catalogue.writing import Saved, save_bars
    from atb.data.providers.files import ImportReport, ImportRules, import_file, import_symbols
    from atb.data.providers.sample import sample_bars, write_sample

_HOMES = {
    "ImportReport": "providers.files",
    "ImportRules": "providers.files",
    "Saved": "catalogue.writing",
    "SeriesInfo": "catalogue.verification",
    "Verification": "catalogue.verification",
    "derive_universe": "catalogue.universes",
    "funding_holes": "catalogue.funding",
    "import_file": "providers.files",
    "import_symbols": "providers.files",
    "list_series": "catalogue.verification",
    "load_bars": "catalogue",
    "load_funding": "catalogue.funding",
    "load_instrument": "catalogue.instruments",
    "load_sentiment": "catalogue.sentiment",
    "load_universe": "catalogue.universes",
    "rules_of": "catalogue.instruments",
    "sample_bars": "providers.sample",
    "save_bars": "catalogue.writing",
    "save_instruments": "catalogue.instruments",
    "save_universe": "catalogue.universes",
    "verify": "catalogue.verification",
    "write_sample": "providers.sample",
}

__all__ = [
    "ImportReport",
    "ImportRules",
    "Saved",
    "SeriesInfo",
    "Verification",
    "derive_universe",
    "funding_holes",
    "import_file",
    "import_symbols",
    "list_series",
    "load_bars",
    "load_funding",
    "load_instrument",
    "load_sentiment",
    "load_universe",
    "rules_of",
    "sample_bars",
    "save_bars",
    "save_instruments",
    "save_universe",
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

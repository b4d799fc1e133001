"""Market data: the Parquet catalogue, imports, downloads and a synthetic market.

Reading needs pandas and pyarrow only; what talks to an exchange loads ccxt when it is called.
"""

from atb.data.catalogue import load_bars
from atb.data.importing import ImportReport, ImportRules, import_file
from atb.data.instruments import instrument_note, load_instrument, save_instruments
from atb.data.listing import SeriesInfo, Verdict, list_series, verify
from atb.data.sample import sample_bars, write_sample
from atb.data.storing import Saved, save_bars

__all__ = [
    "ImportReport",
    "ImportRules",
    "Saved",
    "SeriesInfo",
    "Verdict",
    "import_file",
    "instrument_note",
    "list_series",
    "load_bars",
    "load_instrument",
    "sample_bars",
    "save_bars",
    "save_instruments",
    "verify",
    "write_sample",
]

"""Files as exchanges, data sites and libraries write them: unpacked, understood, checked, imported."""

from atb.data.providers.files.candles import FileCandles
from atb.data.providers.files.importing import ImportReport, import_file, import_symbols
from atb.data.providers.files.reading import ImportRules

__all__ = ["FileCandles", "ImportReport", "ImportRules", "import_file", "import_symbols"]

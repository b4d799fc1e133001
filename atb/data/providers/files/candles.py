"""Files of bars as a provider, so that they can be asked like an exchange."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from atb.data.providers.candle_source import HeldCandles
from atb.data.providers.files.reading import ImportRules, read_files
from atb.domain import Symbol, Timeframe


class FileCandles(HeldCandles):
    """A `CandleSource` over files of one series: read and checked when it is made; files publish no trading rules.

    Parameters
    ----------
    path, symbol, timeframe, venue, gaps, rules
        As for `import_file`.

    Raises
    ------
    InputError, DataError
        As for `import_file`.
    """

    def __init__(
        self,
        path: Path | str | Iterable[Path | str],
        *,
        symbol: str | Symbol | None = None,
        timeframe: str | Timeframe | None = None,
        venue: str | None = None,
        gaps: Literal["refuse", "keep"] = "refuse",
        rules: ImportRules | None = None,
    ) -> None:
        found = read_files(path, symbol=symbol, timeframe=timeframe, venue=venue, gaps=gaps, rules=rules)
        super().__init__([found.bars], origin=found.origin)

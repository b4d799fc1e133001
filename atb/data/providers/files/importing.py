"""Files of bars into the catalogue: every guess is shown, every doubt refused, and then nothing is written."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from atb.data.catalogue.gaps import missing_bars
from atb.data.catalogue.writing import Saved, save_bars
from atb.data.providers.files.contracts import as_perpetual, perpetual_by_place
from atb.data.providers.files.identity import identity_of_name
from atb.data.providers.files.reading import FileBars, ImportRules, read_files, symbols_named
from atb.domain import Symbol, Timeframe
from atb.errors import DataError


@dataclass(frozen=True)
class ImportReport(FileBars):
    """Result of an import: the bars that were read, how, and what the catalogue made of them.

    Parameters
    ----------
    path
        The path given, the first of several.
    saved
        Bars added, unchanged and replaced.
    """

    path: Path
    saved: Saved

    @property
    def unchanged(self) -> bool:
        """Whether the catalogue held all bars already."""
        return not self.saved.added and not self.saved.replaced

    def to_json(self) -> dict[str, object]:
        """Return plain values; times as ISO 8601."""
        bars = self.bars
        return {
            "file": str(self.path),
            "files": list(self.files),
            "symbol": str(bars.symbol),
            "timeframe": str(bars.timeframe),
            "venue": bars.venue,
            "bars": len(bars),
            "first": bars.frame.index[0].isoformat(),
            "last": bars.frame.index[-1].isoformat(),
            "added": self.saved.added,
            "unchanged": self.saved.unchanged,
            "replaced": self.saved.replaced,
            "gaps": [
                {"start": gap[0].isoformat(), "end": gap[1].isoformat(), "missing": missing_bars(gap, bars.timeframe)}
                for gap in bars.gaps
            ],
            "columns": self.columns,
            "notes": list(self.notes),
            "fingerprint": bars.fingerprint,
        }


def import_file(
    path: Path | str | Iterable[Path | str],
    *,
    root: Path,
    symbol: str | Symbol | None = None,
    timeframe: str | Timeframe | None = None,
    venue: str | None = None,
    gaps: Literal["refuse", "keep"] = "refuse",
    rules: ImportRules | None = None,
) -> ImportReport:
    """Read files of bars, check them, and merge them into the catalogue; on any doubt nothing is written.

    Parameters
    ----------
    path
        A file, several, or a folder: CSV, JSON, feather or Parquet, alone, compressed or in zip archives. All of one series.
    root
        The folder of the catalogue.
    symbol, timeframe, venue
        Identity of the bars. A file name like `binance_BTCUSDT_1h.parquet` says all three; otherwise the symbol is needed,
        the timeframe is the most common step between rows, and the venue is `file`.
    gaps
        `keep` accepts and records gaps; `refuse` names them.
    rules
        What else to accept; by default nothing doubtful.

    Raises
    ------
    InputError
        If a file is missing, or symbol, timeframe or venue cannot be known.
    DataError
        If the content breaks a rule.
    """
    rules = rules or ImportRules()
    paths = [Path(path)] if isinstance(path, str | Path) else [Path(item) for item in path]
    found = read_files(paths, symbol=symbol, timeframe=timeframe, venue=venue, gaps=gaps, rules=rules)
    saved = save_bars(found.bars, root=root, source=found.origin, replace=rules.replace, accept_gaps=gaps == "keep")
    notes = (*found.notes, *_saved_notes(saved))
    return ImportReport(found.bars, found.columns, notes, found.files, path=paths[0], saved=saved)


def _saved_notes(saved: Saved) -> tuple[str, ...]:
    return tuple(f"a damaged file of the catalogue was replaced; it is kept as {path}" for path in saved.set_aside)


def import_symbols(
    path: Path | str | Iterable[Path | str],
    *,
    root: Path,
    timeframe: str | Timeframe | None = None,
    venue: str | None = None,
    gaps: Literal["refuse", "keep"] = "refuse",
    rules: ImportRules | None = None,
) -> list[ImportReport]:
    """Import each symbol that the files' rows name, as a series of its own; all are read and checked before one is written.

    Parameters and errors as for `import_file`.

    Raises
    ------
    InputError
        If no row names a symbol, or one names something else.
    """
    rules = rules or ImportRules()
    paths = [Path(path)] if isinstance(path, str | Path) else [Path(item) for item in path]
    named = identity_of_name(paths[0].name, symbols=True)
    timeframe, venue = timeframe or named.get("timeframe"), venue or named.get("venue")
    symbols = _contracts(symbols_named(paths), perpetual_by_place(paths, (), venue))
    found = [_of_panel(paths, symbol, timeframe=timeframe, venue=venue, gaps=gaps, rules=rules) for symbol in symbols]
    reports = []
    for one in found:
        saved = save_bars(one.bars, root=root, source=one.origin, replace=rules.replace, accept_gaps=gaps == "keep")
        reports.append(
            ImportReport(
                one.bars, one.columns, (*one.notes, *_saved_notes(saved)), one.files, path=paths[0], saved=saved
            )
        )
    return reports


def _contracts(symbols: list[Symbol], evidence: str | None) -> list[Symbol]:
    """Return the symbols that rows name; all as perpetuals where the files' place says so and no row says otherwise itself."""
    if evidence is None or any(symbol.settle for symbol in symbols):
        return symbols
    return [as_perpetual(symbol, evidence) for symbol in symbols]


def _of_panel(
    paths: list[Path], symbol: Symbol, *, timeframe: str | Timeframe | None, venue: str | None,
    gaps: Literal["refuse", "keep"], rules: ImportRules,
) -> FileBars:  # fmt: skip
    try:
        return read_files(paths, symbol=symbol, timeframe=timeframe, venue=venue, gaps=gaps, rules=rules)
    except DataError as error:
        raise DataError(f"{symbol}: {error.wrong}", found=error.found, todo=error.todo) from error

"""The catalogue: bars on disk, read, written, verified; one Parquet file per series and year. `load_bars` is its way in."""

from atb.data.catalogue.reading import load_bars

__all__ = ["load_bars"]

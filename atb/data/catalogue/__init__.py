"""The catalogue: bars on disk, read, written, checked; one Parquet file per series and year."""

"""A result's tables as files: CSV, which every spreadsheet opens; Parquet where a table is too long for one.

A million closes are 45 MB of text that takes seconds to write, and 7 MB of Parquet that takes none. Both read back exactly.
"""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from atb.files import make_public_folder, write_public

if TYPE_CHECKING:
    import pandas as pd

    from atb.backtest.result import Result

MOST_CELLS = 250_000  # of a table that is written as CSV


def export(result: "Result", folder: Path) -> list[Path]:
    """Write orders, trades, refused signals and equity into `folder`, and return the files.

    Each is `orders.csv` and so on, or `orders.parquet` if it has more than `MOST_CELLS` cells.
    """
    make_public_folder(folder)
    tables = {"orders": result.orders, "trades": result.trades, "refused": result.refused}
    return [_write(folder / name, table) for name, table in tables.items()] + [
        _write(folder / "equity", result.equity.to_frame().reset_index())
    ]


def _write(path: Path, table: "pd.DataFrame") -> Path:
    other = path.with_suffix(".parquet" if table.size <= MOST_CELLS else ".csv")
    other.unlink(missing_ok=True)  # of an earlier export into the same folder
    if table.size <= MOST_CELLS:
        file = path.with_suffix(".csv")
        write_public(file, table.to_csv(index=False, lineterminator="\n").encode())
        return file
    file = path.with_suffix(".parquet")
    write_public(file, _parquet(table))
    return file


def _parquet(table: "pd.DataFrame") -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    floats = [name for name in table if table[name].dtype == "float64"]
    others = [name for name in table if name not in floats]
    buffer = io.BytesIO()
    pq.write_table(
        pa.Table.from_pandas(table, preserve_index=False), buffer, compression="zstd", use_dictionary=others,
        use_byte_stream_split=floats,
    )  # fmt: skip
    return buffer.getvalue()

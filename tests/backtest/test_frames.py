"""Tables as files: text while a spreadsheet can take it, Parquet beyond, the same bits in both."""

import numpy as np
import pandas as pd

from atb.backtest import run
from tests.bars import random_walk
from tests.scenarios import scripted_slot

N = 110_000
SIDES = tuple(np.where(np.arange(N) // 2 % 2 == 0, 1.0, 0.0))


def test_a_long_run_takes_little_room_and_reads_back_to_the_same_bits(tmp_path):
    result = run(scripted_slot(random_walk(N, 3, sigma=0.001), SIDES))
    files = {path.name: path for path in result.export(tmp_path)}
    assert set(files) == {"orders.parquet", "trades.parquet", "refused.csv", "equity.parquet"}
    for name in ("orders", "trades"):
        pd.testing.assert_frame_equal(
            pd.read_parquet(files[f"{name}.parquet"]), getattr(result, name), check_dtype=False
        )
    equity = pd.read_parquet(files["equity.parquet"]).set_index("timestamp")["equity"]
    assert equity.to_numpy().tobytes() == result.equity.to_numpy().tobytes()
    assert equity.index.equals(result.equity.index)
    assert sum(path.stat().st_size for path in files.values()) < 95 * len(result.orders) + 8 * N


def test_exporting_again_leaves_no_file_of_the_other_kind(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "equity.parquet").write_bytes(b"old")
    run(scripted_slot(random_walk(50), (1.0,))).export(folder)
    assert {path.name for path in folder.iterdir()} == {"orders.csv", "trades.csv", "refused.csv", "equity.csv"}

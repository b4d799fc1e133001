"""Publishing: strict JSON with identities, readable by any parser, silent outside a notebook."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from atb.errors import InputError
from atb.experiments.evidence import ResultEvidence
from atb.experiments.publication import RUN_FOLDER, content_hash, publish, published, strict
from atb.validation.parity import ParityReport
from tests.bars import bars_of, random_walk


class ResultDouble:
    """The part of a backtest result that `publish` asks for."""

    headline = "Traded 3 times"

    def __init__(self) -> None:
        self.bars = (bars_of(random_walk(50), venue="synthetic"),)

    def to_json(self) -> dict[str, object]:
        return {"stats": {"sharpe": float("nan"), "trades": np.int64(3)}}

    def export(self, folder: Path) -> None:
        (folder / "orders.csv").write_text("orders")


@pytest.fixture
def run_folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv(RUN_FOLDER, str(tmp_path))
    return tmp_path


def refuse_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def test_a_result_is_written_with_its_bars_and_its_exports(run_folder):
    result = ResultDouble()
    proven = ResultEvidence(ParityReport(True, 7, 50, {}, None), (), synthetic=True, bars_in_all=50)
    publish(metrics={"sharpe": np.float64(1.5), "sortino": float("inf")}, result=result, evidence=proven)
    found = json.loads((run_folder / "result.json").read_text(), parse_constant=refuse_constant)
    assert found["metrics"] == {"sharpe": 1.5, "sortino": None}
    assert found["headline"] == "Traded 3 times"
    assert found["result"] == {"stats": {"sharpe": None, "trades": 3}}
    assert found["evidence"] == proven.to_json()
    assert found["data"] == [
        {
            "symbol": "BTC/USDT",
            "timeframe": "1h",
            "venue": "synthetic",
            "fingerprint": result.bars[0].fingerprint,
            "first": "2024-01-01T00:00:00+00:00",
            "last": "2024-01-03T01:00:00+00:00",
            "bars": 50,
        }
    ]
    assert (run_folder / "orders.csv").read_text() == "orders"
    assert published(run_folder) == found


@pytest.mark.parametrize("sentences", [None, [], ["Only 3 trades", "It loses money"]])
def test_what_was_found_against_a_result_is_kept_and_nothing_looked_for_is_not_nothing_found(sentences, run_folder):
    publish(metrics={}, findings=sentences)
    assert published(run_folder)["findings"] == sentences


def test_evidence_that_no_proof_made_is_refused(run_folder):
    with pytest.raises(InputError, match=r"Only evidence of a result.*found 'dict'"):
        publish(metrics={}, evidence={"parity": True})
    assert published(run_folder) == {}


def test_given_bars_are_named_instead_of_the_result_s(run_folder):
    publish(metrics={}, data=[bars_of(random_walk(10), symbol="ETH/USDT")], result=ResultDouble())
    assert [series["symbol"] for series in published(run_folder)["data"]] == ["ETH/USDT"]


def test_a_model_is_named_by_the_hash_of_its_content(run_folder):
    bundle = run_folder / "bundle"
    bundle.mkdir()
    (bundle / "model.onnx").write_bytes(b"weights")
    (bundle / "card.json").write_text("{}")
    publish(metrics={}, model=bundle)
    before = published(run_folder)["model"]
    assert before == {"path": str(bundle), "sha256": content_hash(bundle)}
    (bundle / "model.onnx").write_bytes(b"Weights")
    assert content_hash(bundle) != before["sha256"]
    with pytest.raises(InputError, match="no such model"):
        publish(metrics={}, model=run_folder / "nowhere")


def test_outside_a_run_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.delenv(RUN_FOLDER, raising=False)
    monkeypatch.chdir(tmp_path)
    publish(metrics={"sharpe": 1.0}, result=ResultDouble())
    assert {path.name for path in tmp_path.iterdir()} <= {"atb.toml"}  # the tests' own mark of a project


def test_a_run_that_published_nothing_has_nothing(tmp_path):
    assert published(tmp_path) == {}


def test_a_damaged_result_is_one_clear_error(tmp_path):
    (tmp_path / "result.json").write_text('{"metrics": ')
    with pytest.raises(InputError, match="not JSON"):
        published(tmp_path)


def test_values_become_json_types():
    value = {1: (np.float32(0.5), float("-inf"), True), "at": pd.Timestamp("2024-01-01", tz="UTC"), "to": Path("a/b")}
    assert strict(value) == {"1": [0.5, None, True], "at": "2024-01-01T00:00:00+00:00", "to": "a/b"}
    assert strict(datetime(2024, 1, 1, tzinfo=UTC)) == "2024-01-01T00:00:00+00:00"


@pytest.mark.parametrize("value", [object(), {1, 2}, pd.Series([1.0]), b"x"], ids=lambda value: type(value).__name__)
def test_what_has_no_json_form_is_refused(value):
    with pytest.raises(InputError, match="cannot be published"):
        publish(metrics={"value": value})

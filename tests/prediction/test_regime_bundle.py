"""Fitted regimes as files: written whole, read back equal, and refused for any difference."""

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from atb.errors import InputError, ModelError
from atb.features.regimes import Hysteresis, Refitted
from atb.prediction import regime_bundle as bundles
from atb.prediction.bundle import find_bundle, list_bundles
from atb.prediction.card import content_sha256, render
from atb.prediction.regime_bundle import find_regime, load_regime, save_regime
from tests.bars import bars_of
from tests.features.regimes.fitted import HMM, JUMP, changing_market, fit_of

NEW_YEAR = datetime(2025, 1, 1, tzinfo=UTC)


@cache
def bars():
    return bars_of(changing_market(700, 5)[0])


def regime(model) -> Refitted:
    return Refitted(
        (fit_of(model, int(bars().opened_ms[100])), fit_of(model, int(bars().opened_ms[300]))), Hysteresis(2, 5, 40)
    )


@pytest.fixture(params=[HMM, JUMP], ids=lambda model: model.name)
def saved(request, tmp_path) -> Path:
    return save_regime(regime(request.param), bars(), root=tmp_path, now=NEW_YEAR)


def rewrite(folder: Path, **changes: object) -> None:
    """Write a changed card that is whole again: its hash is right, its content is not."""
    file = folder / "regime.json"
    card = {**json.loads(file.read_bytes()), **changes}
    card["content_sha256"] = content_sha256(card)
    file.write_bytes(render(card))


def test_what_is_read_back_is_equal_and_computes_the_same_bits(saved):
    found = load_regime(saved)
    original = regime(HMM if found.regime.name == "gaussian_hmm" else JUMP)
    assert found.regime == original
    assert (
        found.regime.compute(bars().frame).to_numpy().tobytes() == original.compute(bars().frame).to_numpy().tobytes()
    )


def test_the_card_says_what_it_was_fitted_on(saved, tmp_path):
    card = load_regime(saved).card
    assert saved.parent == tmp_path / "BTC-USDT" / "regime"
    assert card["version"].startswith("20250101T000000000Z-")
    assert (card["symbol"], card["timeframe"], card["synthetic"]) == ("BTC/USDT", "1h", False)
    assert [fit["fingerprint"] for fit in card["regime"]["fits"]] == ["0" * 64] * 2
    assert {"known_ms", "first_open_ms", "bars"} <= card["regime"]["fits"][0].keys()
    assert {"numpy", "hmmlearn", "jumpmodels", "atb"} <= card["versions"].keys()
    assert [path.name for path in saved.iterdir()] == ["regime.json"]


def test_the_newest_of_a_symbol_and_timeframe_is_found(tmp_path):
    save_regime(regime(HMM), bars(), root=tmp_path, now=NEW_YEAR)
    newest = save_regime(regime(JUMP), bars(), root=tmp_path, now=datetime(2025, 1, 2, tzinfo=UTC))
    assert find_regime(tmp_path, "BTCUSDT", "1h") == newest
    with pytest.raises(ModelError, match="No model of regimes regime of BTC/USDT 4h"):
        find_regime(tmp_path, "BTC/USDT", "4h")


def test_a_regime_is_no_model_that_predicts(saved, tmp_path):
    assert list_bundles(tmp_path) == []
    with pytest.raises(ModelError, match="no model at all"):
        find_bundle(tmp_path, "BTC/USDT", "1h", name="regime")


def test_every_changed_byte_is_found(saved):
    file = saved / "regime.json"
    raw = file.read_bytes()
    for at in range(0, len(raw), 101):
        file.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        with pytest.raises(ModelError, match=r"regime\.json"):
            load_regime(saved)


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"labels": ["a", "b"]}, "not of its own numbers"), ({"warmup": 3}, "not of its own numbers"),
     ({"fingerprint": "1" * 64}, "not of its own numbers"), ({"fixtures": [[0.5]]}, "other regimes"),
     ({"source_sha256": "2" * 64}, "source of regimes"), ({"schema": 2}, "schema 1"), ({"symbol": 3}, "wrong type"),
     ({"symbol": "?"}, "holds no model"), ({"more": 1}, "too much of: more"), ({"regime": {}}, "holds no model"),
     ({"regime": {"method": "gaussian_hmm", "fits": [], "hysteresis": None}}, "needs a fit")],
)  # fmt: skip
def test_a_card_that_is_whole_and_wrong_is_refused(saved, changes, said):
    rewrite(saved, **changes)
    with pytest.raises(ModelError, match=said):
        load_regime(saved)


def test_a_program_that_infers_something_else_is_found(saved, monkeypatch):
    answers = bundles._answers
    monkeypatch.setattr(
        bundles, "_answers", lambda regime: [[value + 1e-6 for value in row] for row in answers(regime)]
    )
    with pytest.raises(ModelError, match="infers other regimes"):
        load_regime(saved)


def test_what_is_missing_or_no_json_is_refused(saved):
    (saved / "regime.json").write_bytes(b"[1, 2")
    with pytest.raises(ModelError, match=r"regime\.json"):
        load_regime(saved)
    (saved / "regime.json").unlink()
    with pytest.raises(ModelError, match=r"regime\.json"):
        load_regime(saved)


def test_a_version_is_written_once_and_a_name_stays_in_its_folder(saved, tmp_path):
    again = load_regime(saved).regime
    with pytest.raises(ModelError, match="exists already"):
        save_regime(again, bars(), root=tmp_path, now=NEW_YEAR)
    with pytest.raises(InputError, match="letters, digits"):
        save_regime(again, bars(), root=tmp_path, name="../x")
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]

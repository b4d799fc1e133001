"""Bundles: written whole, found exactly, and refused for any difference."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from atb.errors import InputError, ModelError
from atb.features import sets
from atb.prediction import bundle as bundles
from atb.prediction import card as cards
from atb.prediction.bundle import find_bundle, list_bundles, load_bundle
from tests.prediction.models import exported, market, saved, trained

NEW_YEAR = datetime(2025, 1, 1, tzinfo=UTC)


def rewrite(bundle: Path, **changes: object) -> None:
    """Write a changed card that is whole again: its hash is right, its content is not."""
    card = {**json.loads((bundle / "card.json").read_bytes()), **changes}
    card["content_sha256"] = cards.content_sha256(card)
    (bundle / "card.json").write_bytes(cards.render(card))


def test_lies_under_symbol_name_and_version(tmp_path):
    path = saved("logistic", tmp_path)
    assert path.parent == tmp_path / "BTC-USDT" / "basic"
    assert path.name.startswith("20250101T000000000Z-")
    assert sorted(file.name for file in path.iterdir()) == ["card.json", "model.onnx"]
    assert list_bundles(tmp_path) == [path]


def test_the_card_says_where_the_model_comes_from(tmp_path):
    model, bundle = trained(), load_bundle(saved("logistic", tmp_path))
    card, opened = bundle.card, model.bars.frame.index
    assert (card["symbol"], card["timeframe"], card["venue"]) == ("BTC/USDT", "1h", "synthetic")
    assert card["synthetic"] is True
    assert card["inputs"] == list(sets.FEATURE_SETS["basic"].columns)
    assert card["data"] == [
        {"label": model.bars.label, "fingerprint": market()[0].fingerprint, "bars": len(model.bars)}
    ]
    assert card["periods"]["train"]["first_open"] == opened[model.split.train[0]].isoformat()
    assert card["periods"]["test"]["last_open"] == opened[model.split.test[-1]].isoformat()
    assert card["window"] == card["warmup"] + 1
    assert card["baselines"]["test"].keys() == {"persistence", "reversal", "momentum", "hold"}
    assert card["beats_baselines"] is True
    assert card["parity"]["flipped"] == {"0.5": 0}
    assert "scaler" not in card["normalisation"]
    assert card["normalisation"].startswith("inside the graph")
    assert len(card["fixtures"]["inputs"]) == len(card["fixtures"]["outputs"]) == 8
    assert {"onnxruntime", "scikit-learn", "TA-Lib", "python", "atb"} <= card["versions"].keys()
    assert "SYNTHETIC" in bundle.title


def test_two_bundles_of_one_model_differ_in_version_and_fingerprint(tmp_path):
    first = load_bundle(saved("logistic", tmp_path))
    second = load_bundle(saved("logistic", tmp_path, now=NEW_YEAR + timedelta(seconds=1)))
    assert first.model == second.model
    assert first.fingerprint != second.fingerprint


def test_never_overwrites_a_version(tmp_path):
    saved("logistic", tmp_path)
    with pytest.raises(ModelError, match="exists already"):
        saved("logistic", tmp_path)


def test_leaves_nothing_behind_if_the_bundle_does_not_load(tmp_path, monkeypatch):
    monkeypatch.setattr(cards, "FIXTURES", 3)
    monkeypatch.setattr(cards, "REPLAY_TOLERANCE", -1.0)
    with pytest.raises(ModelError, match="answers its fixtures differently"):
        saved("logistic", tmp_path / "models")
    assert [path for path in (tmp_path / "models").rglob("*") if path.is_file()] == []
    assert list_bundles(tmp_path / "models") == []


@pytest.mark.parametrize("file", ["card.json", "model.onnx"])
def test_refuses_a_bundle_without_one_of_its_files(file, tmp_path):
    bundle = saved("logistic", tmp_path)
    (bundle / file).unlink()
    with pytest.raises(ModelError, match=f"{file} is missing"):
        load_bundle(bundle)


@pytest.mark.parametrize("field", sorted(cards.FIELDS))
def test_refuses_a_card_without_one_of_its_fields(field, tmp_path):
    bundle = saved("logistic", tmp_path)
    card = json.loads((bundle / "card.json").read_bytes())
    del card[field]
    (bundle / "card.json").write_bytes(cards.render(card))
    with pytest.raises(ModelError, match=rf"card\.json.*({field}|schema 2)"):
        load_bundle(bundle)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"feature_set": "opinions"}, "unknown feature set; found 'opinions'"),
        ({"feature_set": "volatility"}, "feature set volatility has another version now; found '1, the model read 2'"),
        ({"feature_set_version": 1}, "feature set basic has another version now"),
        ({"inputs": ["momentum_1"]}, "other columns or another warm-up"),
        ({"warmup": 1}, "other columns or another warm-up"),
        ({"feature_source_sha256": "0" * 64}, r"source of the features \(atb/features\) changed"),
        ({"symbol": "?"}, "Not a symbol"),
        ({"timeframe": "7h"}, "Not a timeframe"),
        ({"horizon": "12"}, "horizon has the wrong type"),
        ({"warmup": True}, "warmup has the wrong type"),
        ({"schema": 1}, "no model card of schema 2"),
        ({"model_sha256": "0" * 64}, r"model\.onnx was changed"),
        ({"nickname": "x"}, "lacks or has too much of: nickname"),
    ],
)
def test_refuses_a_whole_card_that_is_not_this_models(changes, message, tmp_path):
    bundle = saved("logistic", tmp_path)
    rewrite(bundle, **changes)
    with pytest.raises(ModelError, match=message):
        load_bundle(bundle)


def test_refuses_a_card_that_only_looks_different(tmp_path):
    """The same content, written with another indent: not the bytes that were hashed and promoted."""
    bundle = saved("logistic", tmp_path)
    card = json.loads((bundle / "card.json").read_bytes())
    (bundle / "card.json").write_text(json.dumps(card, indent=1, sort_keys=True))
    with pytest.raises(ModelError, match=r"card\.json was changed after it was written"):
        load_bundle(bundle)


def test_replays_its_fixtures(tmp_path):
    bundle = saved("logistic", tmp_path)
    fixtures = load_bundle(bundle).card["fixtures"]
    rewrite(bundle, fixtures={**fixtures, "outputs": [*fixtures["outputs"][:-1], fixtures["outputs"][-1] + 1e-4]})
    with pytest.raises(ModelError, match=r"model\.onnx answers its fixtures differently"):
        load_bundle(bundle)


def test_refuses_a_graph_of_other_shapes(tmp_path):
    """Another graph with its own right hash on the card: eleven inputs where the card names twelve."""
    from hashlib import sha256

    from skl2onnx import to_onnx as convert
    from sklearn.linear_model import LogisticRegression

    model = trained()
    rows = model.rows("train")[:500]
    small = LogisticRegression().fit(model.inputs[rows, :11], model.label[rows])
    graph = convert(small, model.inputs[:1, :11], options={"zipmap": False}).SerializeToString()
    bundle = saved("logistic", tmp_path)
    (bundle / "model.onnx").write_bytes(graph)
    rewrite(bundle, model_sha256=sha256(graph).hexdigest())
    with pytest.raises(ModelError, match=r"model\.onnx has other shapes"):
        load_bundle(bundle)


def test_a_change_in_the_features_source_refuses_old_models(tmp_path, monkeypatch):
    bundle = saved("logistic", tmp_path)
    copied = tmp_path / "sets"
    shutil.copytree(Path(sets.__file__).parent, copied)
    with (copied / "of_bars.py").open("ab") as file:
        file.write(b"\n# another thought\n")
    monkeypatch.setattr(sets, "__file__", str(copied / "__init__.py"))
    with pytest.raises(ModelError, match="changed since this model was trained"):
        load_bundle(bundle)


def test_finds_the_newest_of_exactly_this_symbol_and_timeframe(tmp_path):
    old = saved("logistic", tmp_path)
    new = saved("gradient_boosting", tmp_path, now=NEW_YEAR + timedelta(days=1))
    ether = saved("logistic", tmp_path, which=1, now=NEW_YEAR + timedelta(days=2))
    assert find_bundle(tmp_path, "BTCUSDT", "1h") == new
    assert find_bundle(tmp_path, "ETH/USDT", "1h") == ether
    assert find_bundle(tmp_path, "BTC/USDT", "1h", version=old.name) == old


def test_says_what_there_is_and_how_to_train_what_is_not(tmp_path):
    saved("logistic", tmp_path)
    for symbol, timeframe in (("ETH/USDT", "1h"), ("BTC/USDT", "4h")):
        with pytest.raises(ModelError, match="there is basic BTC/USDT 1h") as refusal:
            find_bundle(tmp_path, symbol, timeframe)
        assert f"-p symbol={symbol} -p timeframe={timeframe}" in str(refusal.value)
    with pytest.raises(ModelError, match="there is no model at all"):
        find_bundle(tmp_path / "nowhere", "BTC/USDT", "1h")


def test_refuses_another_symbols_bundle_in_this_ones_folder(tmp_path):
    ether = saved("logistic", tmp_path, which=1)
    folder = tmp_path / "BTC-USDT" / "basic"
    folder.mkdir(parents=True)
    ether.rename(folder / ether.name)
    with pytest.raises(ModelError, match="is of ETH/USDT, in the folder of BTC/USDT"):
        find_bundle(tmp_path, "BTC/USDT", "1h")


def test_does_not_pass_over_a_broken_newer_bundle(tmp_path):
    saved("logistic", tmp_path)
    new = saved("logistic", tmp_path, now=NEW_YEAR + timedelta(days=1))
    (new / "card.json").write_text("{")
    with pytest.raises(ModelError, match="is no JSON"):
        find_bundle(tmp_path, "BTC/USDT", "1h")


@pytest.mark.parametrize("way_out", ["..", "../x", "/etc", "a/b", ".hidden", "", "x" * 65])
def test_refuses_names_and_versions_that_leave_the_root(way_out, tmp_path):
    with pytest.raises(InputError, match="is letters, digits"):
        find_bundle(tmp_path, "BTC/USDT", "1h", name=way_out)
    with pytest.raises(InputError, match="is letters, digits"):
        find_bundle(tmp_path, "BTC/USDT", "1h", version=way_out)


def test_refuses_links_that_leave_the_root_or_the_bundle(tmp_path):
    outside = saved("logistic", tmp_path / "outside")
    folder = tmp_path / "models" / "BTC-USDT" / "basic"
    folder.mkdir(parents=True)
    (folder / "20990101").symlink_to(outside)
    with pytest.raises(ModelError, match="leads out of the models folder"):
        find_bundle(tmp_path / "models", "BTC/USDT", "1h")
    inside = saved("logistic", tmp_path)
    content = (inside / "model.onnx").read_bytes()
    (inside / "model.onnx").unlink()
    (tmp_path / "model.onnx").write_bytes(content)
    (inside / "model.onnx").symlink_to(tmp_path / "model.onnx")
    with pytest.raises(ModelError, match="link out of its bundle"):
        load_bundle(inside)


def test_nothing_is_pickled():
    import ast

    source = [path.read_text() for path in Path(bundles.__file__).parent.glob("*.py")]
    imported = {
        name.name.partition(".")[0]
        for text in source
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import)
        for name in node.names
    }
    assert not imported & {"pickle", "joblib", "cloudpickle", "dill", "shelve"}


def test_the_cards_answers_are_the_graphs(tmp_path):
    card = load_bundle(saved("logistic", tmp_path)).card
    expected = trained().classifier.predict_proba(np.array(card["fixtures"]["inputs"], np.float32))[:, 1]
    np.testing.assert_allclose(card["fixtures"]["outputs"], expected, atol=1e-6)
    assert card["verdict"] == exported()[2].verdict

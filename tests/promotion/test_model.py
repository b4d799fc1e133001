"""A promoted model: a changed byte of the graph or the card is refused, and the message says which file."""

import pytest

from atb.data.catalogue.writing import save_bars
from atb.errors import PromotionError
from atb.prediction.bundle import load_bundle
from atb.prediction.predictor import OnnxPredictor
from atb.promotion.manifest import load_manifest, verify
from atb.strategies import make_strategy
from tests.live.desk import warm_result
from tests.prediction import models


@pytest.fixture
def promoted(sqlite_desk):
    folder = models.saved("logistic", sqlite_desk.models_root)
    market = models.market()[0].slice(end=models.market()[0].frame.index[600])
    save_bars(market, root=sqlite_desk.bars_root, source="the synthetic market")
    result = warm_result(market, strategy=make_strategy("ml_basic"), predictor=OnnxPredictor(load_bundle(folder)))
    return load_manifest(sqlite_desk.promote(result, model=folder)), folder


def check(desk, manifest):
    return verify(manifest, models_root=desk.models_root, keys_root=desk.keys_root)


def test_the_model_and_its_readers_are_pinned(sqlite_desk, promoted):
    manifest, folder = promoted
    assert (sqlite_desk.models_root / manifest.model["path"]) == folder
    assert {f"atb/prediction/{name}.py" for name in ("predictor", "bundle", "card", "inference")} <= set(
        manifest.sources
    )
    assert check(sqlite_desk, manifest) == []


@pytest.mark.parametrize("name", ["model.onnx", "card.json"])
def test_a_changed_byte_of_the_bundle_is_named(sqlite_desk, promoted, name):
    manifest, folder = promoted
    file = folder / name
    original = file.read_bytes()
    for position in (0, len(original) // 2, len(original) - 1):
        changed = bytearray(original)
        changed[position] ^= 1
        file.write_bytes(changed)
        with pytest.raises(PromotionError, match=f"The promoted {name} was changed"):
            check(sqlite_desk, manifest)
    file.unlink()
    with pytest.raises(PromotionError, match=f"The promoted {name} is missing"):
        check(sqlite_desk, manifest)


def test_a_model_outside_the_models_folder_is_refused(sqlite_desk, promoted):
    from dataclasses import replace

    from atb.promotion.manifest import sign_manifest

    manifest, folder = promoted
    outside = {**manifest.model, "path": f"../../{folder.name}"}
    signed = sign_manifest(replace(manifest, model=outside), sqlite_desk.keys_root)
    with pytest.raises(PromotionError, match="outside the models folder"):
        check(sqlite_desk, signed)

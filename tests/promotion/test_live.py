"""A manifest that may trade real money carries evidence that passes today's gate; a signature alone is not enough."""

from dataclasses import replace

import pytest

from atb.errors import PromotionError
from atb.promotion.evidence import Evidence
from atb.promotion.gate import gate
from atb.promotion.manifest import decide_alike, load_manifest, sign_manifest, verify
from atb.promotion.signing import fingerprint, signing_key
from atb.promotion.trust import trust
from tests.live.desk import warm_result
from tests.promotion.test_gate import GOOD

SEEN = Evidence(**GOOD)


@pytest.fixture
def paper(sqlite_desk):
    return load_manifest(sqlite_desk.promote(warm_result(sqlite_desk.stock(60, 1))))


def signed_live(desk, paper, **changes):
    """Write a live manifest signed by a key that is trusted with real money, whatever it says."""
    key = signing_key(desk.trust_root).public_key()
    trust(desk.trust_root, key, fingerprint(key))
    changed = {"evidence": {"gate": SEEN.to_json()}, "verdict": gate(SEEN, mode="live").to_json(), **changes}
    manifest = sign_manifest(replace(paper, mode="live", **changed), desk.trust_root)
    path = desk.root / "live.json"
    path.write_bytes(manifest.render())
    return path


def test_good_evidence_makes_a_live_manifest_that_verifies(sqlite_desk, paper):
    manifest = load_manifest(signed_live(sqlite_desk, paper))
    assert manifest.mode == "live"
    roots = {"keys_root": sqlite_desk.keys_root, "trust_root": sqlite_desk.trust_root}
    assert verify(manifest, models_root=sqlite_desk.models_root, **roots) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"evidence": {}}, "not what this version's gate requires"),
        ({"evidence": {"gate": {"sharpe": 9}}}, "not what this version's gate requires"),
        ({"evidence": {"gate": {**SEEN.to_json(), "rehearsed": None}}}, "it was not rehearsed"),
        ({"evidence": {"gate": {**SEEN.to_json(), "sharpe": 0.1, "dirty": True}}}, "uncommitted.*Sharpe 0.10"),
        ({"verdict": {"mode": "paper", "passed": True}}, "verdict is not the gate's on live"),
        ({"verdict": {"mode": "live", "passed": False}}, "verdict is not the gate's on live"),
    ],
)
def test_a_signed_live_manifest_without_the_evidence_is_refused_with_every_reason(sqlite_desk, paper, changes, reason):
    with pytest.raises(PromotionError, match=f"may not trade real money: .*{reason}"):
        load_manifest(signed_live(sqlite_desk, paper, **changes))


def test_an_unknown_mode_is_refused(sqlite_desk, paper):
    path = sqlite_desk.root / "odd.json"
    path.write_bytes(sign_manifest(replace(paper, mode="real"), sqlite_desk.keys_root).render())
    with pytest.raises(PromotionError, match="mode is paper or live; found 'real'"):
        load_manifest(path)


@pytest.mark.parametrize(
    "name", ["strategy", "policy", "sources", "kernel_hash", "instrument", "account", "model", "data"]
)
def test_manifests_decide_alike_only_when_everything_that_decides_is_the_same(sqlite_desk, paper, name):
    live = load_manifest(signed_live(sqlite_desk, paper))
    assert decide_alike(paper, replace(live, name="another", created="later", run_id="x"))
    assert not decide_alike(paper, replace(live, **{name: {"another": "one"}}))

"""The manifest: one byte changed anywhere is noticed, and the message says where."""

import json
import random
import stat
from dataclasses import replace

import pandas as pd
import pytest

from atb.backtest import run as backtest
from atb.domain import Bars, Timeframe
from atb.errors import InputError, PromotionError
from atb.promotion import provenance
from atb.promotion.manifest import load_manifest, sign_manifest, verify, write_manifest
from atb.promotion.provenance import source_hashes
from atb.promotion.signing import signing_key
from tests.live.desk import ruled_result, warm_result
from tests.promotion.checkout import copied_checkout


@pytest.fixture
def desk(sqlite_desk):
    return sqlite_desk


@pytest.fixture
def path(desk):
    return desk.promote(warm_result(desk.stock(60, 1)))


def check(desk, path, **options):
    return verify(load_manifest(path), models_root=desk.models_root, keys_root=desk.keys_root, **options)


@pytest.fixture
def package(tmp_path):
    """A copy of the package, whose sources may be changed."""
    return copied_checkout(tmp_path / "copied")


def flip(path, position: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def test_what_was_promoted_verifies_without_a_warning(desk, path, package):
    assert check(desk, path) == []
    assert check(desk, path, package=package) == []


def test_a_manifest_pins_everything_that_decides(desk, path):
    manifest = load_manifest(path)
    assert {"atb/strategies/sma_cross.py", "atb/strategies/__init__.py", "atb/features/indicators/averages.py",
            "atb/engine/kernel.py", "atb/engine/records.py", "atb/domain/bars.py", "atb/live/loop.py",
            "atb/venues/broker/binance.py", "atb/sources.py",
            "atb/db/migrations/versions/0001_the_first_schema.py", "runners/live.py"} <= set(manifest.sources)  # fmt: skip
    assert {"python", "numba", "numpy", "TA-Lib", "onnxruntime", "ccxt", "pandas", "atb-workbench"} == set(
        manifest.versions
    )
    assert "requirements.lock" in manifest.locks
    assert manifest.strategy == {
        "name": "sma_cross", "module": "atb.strategies.sma_cross", "parameters": {"fast": 3, "slow": 8},
    }  # fmt: skip
    assert manifest.warmup == 7
    assert manifest.data[0]["fingerprint"]


def test_a_manifest_carries_the_whole_policy_and_gives_it_back(desk):
    result = ruled_result(desk.stock(260, 1))
    path = desk.promote(result, "ruled")
    (slot,), plan, manifest = result.slots, desk.plan(path), load_manifest(path)
    assert (plan.policy, plan.execution, plan.account) == (slot.policy, slot.execution, result.inputs.account)
    assert (plan.policy.ladder, plan.policy.session) == (((0.006, 0.3), (0.012, 0.3)), ("02:00", "23:00"))
    assert manifest.policy == slot.policy.to_json()
    assert (manifest.policy["ladder"], manifest.account["throttle"]) == (
        [[0.006, 0.3], [0.012, 0.3]], [[0.02, 0.8], [0.05, 0.5]],
    )  # fmt: skip
    assert plan.warmup == slot.warmup > 100  # the policy's ATR settles long after the strategy's averages


def test_a_result_that_paid_funding_is_refused_since_no_runner_would_pay_it(desk):
    result = warm_result(desk.stock(60, 1))
    (slot,) = result.slots
    funded = replace(slot, funding=pd.Series(0.001, index=slot.bars.frame.index[::8]))
    with pytest.raises(PromotionError, match="paid the funding of a perpetual"):
        desk.promote(backtest(funded, start=result.index[0]))


def test_a_result_whose_ambiguous_bars_finer_ones_settled_is_refused(desk):
    result = warm_result(desk.stock(60, 1))
    (slot,) = result.slots
    finer = Bars(slot.bars.symbol, Timeframe.parse("30m"), slot.bars.frame.resample("30min").ffill())
    settled = backtest(slot, start=result.index[0], finer=finer)
    assert settled.to_json()["drilled"].endswith("settled by 30m bars")
    with pytest.raises(PromotionError, match="finer bars"):
        desk.promote(settled)


def test_any_changed_byte_of_the_manifest_is_refused(desk, path):
    original = path.read_bytes()
    chance = random.Random(5)
    positions = {0, len(original) - 1, *chance.sample(range(len(original)), 150)}
    for position in positions:
        changed = bytearray(original)
        changed[position] ^= chance.choice([1, 2, 4, 16, 32, 128])
        path.write_bytes(changed)
        with pytest.raises(PromotionError):
            check(desk, path)
    path.write_bytes(original)
    check(desk, path)


@pytest.mark.parametrize(
    "change", [lambda text: text + b"\n", lambda text: text.replace(b": ", b":", 1), lambda text: b" " + text]
)
def test_a_changed_blank_is_refused(desk, path, change):
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(PromotionError, match="though not its content"):
        check(desk, path)


def edit(path, **changes):
    values = json.loads(path.read_bytes())
    values.update(changes)
    path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"warmup": 3}, "content hash does not match"),
        ({"mode": "live"}, "content hash does not match"),
        ({"mode": "real"}, "mode is paper or live"),
        ({"schema": 1}, "does not pin what this version requires.*schema 2.*[Pp]romote again"),
        ({"schema": True}, "must be schema 2"),
        ({"pollicy": {}}, "unknown key.*Did you mean 'policy'"),
        ({"warmup": "7"}, "warmup must be a int"),
        ({"model": {"path": "x"}}, "a path and three hashes"),
        ({"strategy": {}}, "name, module and parameters"),
    ],
)
def test_an_edited_manifest_is_refused_with_the_reason(desk, path, changes, message):
    edit(path, **changes)
    with pytest.raises(PromotionError, match=message):
        check(desk, path)


def test_a_missing_key_is_named(desk, path):
    values = json.loads(path.read_bytes())
    del values["venue"]
    path.write_text(json.dumps(values))
    with pytest.raises(PromotionError, match="lacks venue"):
        load_manifest(path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\xfe", b'{"schema": NaN}', b'{"schema": 1e999}', b"[" * 100_000]
)
def test_what_is_no_manifest_is_refused_in_one_sentence(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(PromotionError, match=r"The manifest is not (JSON|a JSON object)"):
        load_manifest(path)


def test_a_path_that_leads_nowhere_says_where_manifests_are(tmp_path):
    for path in (tmp_path / "nothing.json", tmp_path):
        with pytest.raises(InputError, match="runners/promoted"):
            load_manifest(path)


@pytest.mark.parametrize(
    "name",
    ["strategies/sma_cross.py", "features/indicators/averages.py", "features/__init__.py", "engine/kernel.py", "engine/matching.py",
     "engine/sizing.py", "engine/policy.py", "domain/signals.py", "live/loop.py", "venues/broker/binance.py",
     "strategies/__init__.py",     "db/migrations/env.py", "sources.py", "promotion/closure.py"],
)  # fmt: skip
def test_a_changed_source_byte_is_named(desk, path, package, name):
    source = package / name
    flip(source, source.stat().st_size // 2)
    with pytest.raises(PromotionError, match=f"A source file changed since the promotion: atb/{name}"):
        check(desk, path, package=package)


def test_a_missing_source_is_named(desk, path, package):
    (package / "engine" / "state.py").unlink()
    with pytest.raises(PromotionError, match=r"atb/engine/state\.py"):
        check(desk, path, package=package)


def test_a_new_strategy_beside_it_changes_nothing(desk, path, package):
    (package / "strategies" / "another.py").write_text("")
    assert check(desk, path, package=package) == []


def test_another_kernel_is_refused_even_where_its_source_is_not_pinned(desk, path):
    foreign = sign_manifest(replace(load_manifest(path), kernel_hash="0" * 64), desk.keys_root)
    with pytest.raises(PromotionError, match="decision kernel is not the promoted one"):
        verify(foreign, models_root=desk.models_root, keys_root=desk.keys_root)


def test_a_library_that_decides_must_have_the_promoted_version(desk, path):
    pinned = load_manifest(path).versions
    for name in provenance.DECISIVE:
        with pytest.raises(PromotionError, match=f"{name} .* instead of 0.0.1"):
            provenance.check_versions({**pinned, name: "0.0.1"})
    (warning,) = provenance.check_versions({**pinned, "pandas": "0.0.1"})
    assert "pandas" in warning


def test_a_signature_by_another_installation_is_refused(desk, path, tmp_path):
    manifest = load_manifest(path)
    signing_key(tmp_path / "stranger")
    with pytest.raises(PromotionError, match="signed by a key that is not trusted"):
        verify(manifest, models_root=desk.models_root, keys_root=tmp_path / "stranger")
    forged = sign_manifest(manifest, tmp_path / "stranger")
    with pytest.raises(PromotionError, match="signed by a key that is not trusted"):
        verify(forged, models_root=desk.models_root, keys_root=desk.keys_root)


def test_another_signature_of_a_known_key_is_refused(desk, path):
    manifest = load_manifest(path)
    other = sign_manifest(replace(manifest, run_id="another"), desk.keys_root).signature
    for signature, message in ((other, "does not match"), (manifest.signature.upper(), "malformed"), ("", "malformed")):
        with pytest.raises(PromotionError, match=message):
            verify(replace(manifest, signature=signature), models_root=desk.models_root, keys_root=desk.keys_root)


@pytest.mark.parametrize(
    "name", ["atb/strategies/sma_cross.py", "atb/live/loop.py", "atb/venues/broker/unified.py", "runners/live.py"]
)
def test_a_manifest_that_pins_less_than_everything_is_refused_even_with_a_good_signature(desk, path, name):
    manifest = load_manifest(path)
    rest = {file: digest for file, digest in manifest.sources.items() if file != name}
    forged = sign_manifest(replace(manifest, sources=rest), desk.keys_root)
    with pytest.raises(PromotionError, match=f"pins less than the runner loads: {name}"):
        verify(forged, models_root=desk.models_root, keys_root=desk.keys_root)


@pytest.mark.parametrize(("name", "message"), [("versions", "does not pin the versions of"), ("locks", "lock file")])
def test_versions_and_lock_files_that_are_not_pinned_are_refused(desk, path, name, message):
    forged = sign_manifest(replace(load_manifest(path), **{name: {}}), desk.keys_root)
    with pytest.raises(PromotionError, match=message):
        verify(forged, models_root=desk.models_root, keys_root=desk.keys_root)


def test_a_changed_lock_file_is_named(desk, path, package):
    flip(package.parent / "requirements.lock")
    with pytest.raises(PromotionError, match=r"A lock file changed since the promotion: requirements\.lock"):
        check(desk, path, package=package)


def test_without_runner_and_lock_file_nothing_is_promoted(tmp_path):
    (tmp_path / "atb").mkdir()
    with pytest.raises(PromotionError, match=r"runner is not beside the package.*from a checkout"):
        source_hashes("atb.strategies.sma_cross", package=tmp_path / "atb")
    with pytest.raises(PromotionError, match=r"No lock file.*from a checkout"):
        provenance.lock_hashes(package=tmp_path / "atb")


def test_a_key_of_another_kind_in_the_folder_is_passed_over(desk, path):
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = generate_private_key(SECP256R1()).public_key()
    (desk.keys_root / "another.pub").write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (desk.keys_root / "broken.pub").write_bytes(b"no key")
    assert check(desk, path) == []


def test_a_folder_of_keys_that_is_a_file_is_named(tmp_path):
    (tmp_path / "keys").write_text("not a folder")
    with pytest.raises(PromotionError, match="signing key cannot be used"):
        signing_key(tmp_path / "keys")


def test_a_strategy_without_a_source_file_cannot_be_pinned():
    with pytest.raises(PromotionError, match="source cannot be found"):
        source_hashes("atb.strategies.of_nobody")


def test_the_private_key_is_for_its_owner_only(desk, path):
    assert stat.S_IMODE((desk.keys_root / "promotion.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE(desk.keys_root.stat().st_mode) == 0o700


def test_a_machine_that_only_runs_needs_the_public_key_alone(desk, path):
    (desk.keys_root / "promotion.pem").unlink()
    assert check(desk, path) == []


def test_a_lost_public_key_is_written_again(desk, path):
    (desk.keys_root / "promotion.pub").unlink()
    signing_key(desk.keys_root)
    assert check(desk, path) == []


def test_a_name_that_is_taken_gets_a_suffix_and_nothing_is_overwritten(desk, path):
    before = path.read_bytes()
    manifest = load_manifest(path)
    second = write_manifest(manifest, path.parent, desk.keys_root)
    assert second != path
    assert second.stem.startswith("desk-20")
    assert load_manifest(second).name == second.stem
    assert path.read_bytes() == before
    with pytest.raises(PromotionError, match="exists already"):
        write_manifest(manifest, path.parent, desk.keys_root)


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 90, "ä"])
def test_a_name_that_is_no_file_name_is_refused(desk, path, name):
    before = sorted(path.parent.iterdir())
    with pytest.raises(InputError, match="manifest's name"):
        write_manifest(replace(load_manifest(path), name=name), path.parent, desk.keys_root)
    assert sorted(path.parent.iterdir()) == before

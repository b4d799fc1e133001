"""Trust with real money: only a key whose fingerprint somebody typed, kept apart from the data; a file that lies about is none."""

import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from atb.config import load_settings
from atb.errors import ConfigError, InputError, PromotionError
from atb.live import wiring
from atb.promotion.manifest import load_manifest, sign_manifest, verify
from atb.promotion.signing import PRIVATE, PUBLIC, fingerprint, signing_key
from atb.promotion.trust import FILE, check_place, distrust, trust, trusted, trusted_keys
from tests.live.desk import warm_result
from tests.promotion.test_live import SEEN, signed_live


@pytest.fixture
def root(tmp_path):
    return tmp_path / "config" / "atb"


@pytest.fixture
def key():
    return Ed25519PrivateKey.generate().public_key()


def pem(key):
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_a_key_is_trusted_once_its_fingerprint_was_typed_and_until_it_is_taken_off(root, key):
    name = fingerprint(key)
    assert trusted(root) == []
    for typed in ("", "yes", name[:15], f"0{name[1:]}" if name[0] != "0" else f"1{name[1:]}", f"{name}0"):
        with pytest.raises(InputError, match=f"not the key's fingerprint.*begins with {name[:16]}"):
            trust(root, key, typed)
    assert trusted(root) == []
    assert trust(root, key, f" {name[:16].upper()}\n").fingerprint == name
    assert [one.fingerprint for one in trusted(root)] == [name] == list(trusted_keys(root))
    assert (root / FILE).stat().st_mode & 0o777 == 0o600
    with pytest.raises(InputError, match="0 trusted keys start like this"):
        distrust(root, "zz")
    distrust(root, name[:8])
    assert trusted(root) == []


def test_a_dropped_file_is_no_trust(root, key):
    root.mkdir(parents=True)
    for name in ("dropped.pub", PUBLIC, "trusted.pub"):
        (root / name).write_bytes(pem(key))
    assert trusted(root) == []


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{", '{"a": {}}', '{"a": {"public_key": "00", "since": "x"}}', "[" * 50_000,
     json.dumps({"0" * 64: {"public_key": "00" * 32, "since": "x"}})],
    ids=range(7),
)  # fmt: skip
def test_a_damaged_list_trusts_nobody_and_says_so(root, content):
    root.mkdir(parents=True, mode=0o700)
    (root / FILE).write_text(content)
    (root / FILE).chmod(0o600)
    with pytest.raises(PromotionError, match="list of trusted keys"):
        trusted_keys(root)


def test_a_list_that_others_may_write_or_that_is_a_link_is_refused(root, key):
    trust(root, key, fingerprint(key))
    (root / FILE).chmod(0o666)
    with pytest.raises(PromotionError, match=r"list of trusted keys can be used by others.*chmod 600"):
        trusted(root)
    (root / FILE).chmod(0o600)
    (root / FILE).rename(root / "elsewhere.json")
    (root / FILE).symlink_to(root / "elsewhere.json")
    with pytest.raises(PromotionError, match="list of trusted keys is a link"):
        trusted(root)


def test_the_store_never_lies_in_the_data_folder(tmp_path):
    data = tmp_path / "data"
    (tmp_path / "link").symlink_to(data)
    for inside in (data, data / "keys", tmp_path / "link" / "trust", data / ".." / "data" / "x"):
        with pytest.raises(ConfigError, match=r"must not lie in the data folder.*live\.trust_root"):
            check_place(inside, data)
    check_place(tmp_path / "database", data)
    assert load_settings(data__root=data).trust_root.name == "atb"
    assert load_settings(live__trust_root="trust").trust_root == tmp_path / "trust"


@pytest.fixture
def paper(sqlite_desk):
    return load_manifest(sqlite_desk.promote(warm_result(sqlite_desk.stock(60, 1))))


def settings_of(desk):
    return load_settings(data__root=desk.root, live__trust_root=desk.trust_root)


def test_who_writes_the_data_folder_cannot_make_a_live_manifest(sqlite_desk, paper, tmp_path):
    """Paper's key and keys that were dropped sign live manifests that nobody takes, whatever their evidence says."""
    good = load_manifest(signed_live(sqlite_desk, paper))
    stranger = tmp_path.with_name(f"{tmp_path.name}-stranger")
    signing_key(stranger)
    for dropped in (
        sqlite_desk.keys_root / "live.pub",
        sqlite_desk.keys_root / PUBLIC,
        sqlite_desk.trust_root / "x.pub",
    ):
        dropped.write_bytes((stranger / PUBLIC).read_bytes())
    for keys in (sqlite_desk.keys_root, stranger):
        path = sqlite_desk.root / "forged.json"
        path.write_bytes(sign_manifest(replace(good, run_id="forged"), keys).render())
        with pytest.raises(PromotionError, match=r"key that is not trusted.*atb keys trust"):
            wiring.load_portfolio([path], settings_of(sqlite_desk))
    assert SEEN.rehearsed


def test_a_live_manifest_of_a_trusted_key_verifies_and_no_longer_when_the_key_is_taken_off(sqlite_desk, paper):
    path = signed_live(sqlite_desk, paper)
    settings = settings_of(sqlite_desk)
    wiring.load_portfolio([path], settings)
    again = wiring.recheck([path], settings)
    again.check()
    distrust(sqlite_desk.trust_root, load_manifest(path).public_key)
    for act in (again.check, lambda: wiring.load_portfolio([path], settings)):
        with pytest.raises(PromotionError, match="not trusted"):
            act()


def test_papers_own_key_needs_no_trust_and_a_dropped_one_is_not_papers(sqlite_desk, paper, tmp_path):
    roots = {"models_root": sqlite_desk.models_root, "keys_root": sqlite_desk.keys_root}
    assert verify(paper, **roots) == []
    stranger = tmp_path.with_name(f"{tmp_path.name}-stranger")
    forged = sign_manifest(paper, stranger)
    for name in ("another.pub", PUBLIC):
        (sqlite_desk.keys_root / name).write_bytes((stranger / PUBLIC).read_bytes())
        with pytest.raises(PromotionError, match="not trusted"):
            verify(forged, **roots)
    key = signing_key(stranger).public_key()
    trust(sqlite_desk.trust_root, key, fingerprint(key))
    assert verify(forged, **roots, trust_root=sqlite_desk.trust_root) == [], "whom real money trusts, paper trusts"


def test_a_private_key_that_others_can_read_signs_nothing(sqlite_desk, paper):
    (sqlite_desk.keys_root / PRIVATE).chmod(0o644)
    with pytest.raises(PromotionError, match="signing key can be used by others"):
        sign_manifest(paper, sqlite_desk.keys_root)

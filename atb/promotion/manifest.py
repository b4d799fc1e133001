"""The manifest: everything that decides a trade, pinned by hashes and signed, in one canonical JSON file.

Its bytes follow from its content (sorted keys, UTF-8, two spaces of indentation, no NaN), so any changed byte is refused, whether
it carries meaning or not.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

from atb.errors import InputError, PromotionError, did_you_mean
from atb.files import make_public_folder, write_public
from atb.promotion import provenance
from atb.promotion.evidence import Evidence
from atb.promotion.gate import gate
from atb.promotion.signing import check_signature, fingerprint, own_key, sign, signing_key
from atb.promotion.trust import trusted_keys
from atb.reading import MIB, parse_json, read_file

SCHEMA = (
    2  # 1 pinned the strategy, features, kernel and domain alone: not the runner, the venues, the lock files and ccxt
)
MODES = ("paper", "live")
LARGEST = MIB  # bytes of a manifest's file; one has about 30 KiB
AGAIN = "Promote again: atb promote RUN_ID --to paper"
# Manifests that agree in these fields trade the same, whoever promoted them and when.
_DECISIVE = (
    "strategy", "symbol", "timeframe", "venue", "policy", "execution", "account", "instrument", "model", "data", "kernel_hash",
    "versions", "sources", "locks", "warmup",
)  # fmt: skip
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A strategy that may trade, with everything it depends on.

    Parameters
    ----------
    schema, name, mode, created, run_id
        Identity of the promotion; `created` in ISO 8601, UTC.
    strategy
        `name`, `module` and `parameters`.
    symbol, timeframe, venue
        The bars it trades on.
    policy, execution, account, instrument
        In the form of their `to_json`.
    model
        None, or the bundle: `path` below the models folder, `model_sha256`, `card_sha256`, `fingerprint`.
    data
        Identity and fingerprint of each series of the run: its bars, then each input with its name under `input`.
    kernel_hash, versions, sources, locks
        See `provenance`.
    warmup
        Bars before the first traded one.
    evidence, verdict
        The gate's evidence and verdict, and figures of the run.
    public_key
        Fingerprint of the signing key.
    content_sha256
        Hash of all of the above; signed.
    signature
        Ed25519, hexadecimal.
    """

    schema: int
    name: str
    mode: str
    created: str
    run_id: str
    strategy: dict[str, Any]
    symbol: str
    timeframe: str
    venue: str
    policy: dict[str, Any]
    execution: dict[str, Any]
    account: dict[str, Any]
    instrument: dict[str, str]
    model: dict[str, str] | None
    data: list[dict[str, Any]]
    kernel_hash: str
    versions: dict[str, str]
    sources: dict[str, str]
    locks: dict[str, str]
    warmup: int
    evidence: dict[str, Any]
    verdict: dict[str, Any]
    public_key: str = ""
    content_sha256: str = ""
    signature: str = ""

    def content(self) -> dict[str, Any]:
        """Return the hashed content: everything but the hash itself and the signature."""
        return {key: value for key, value in asdict(self).items() if key not in {"content_sha256", "signature"}}

    def render(self) -> bytes:
        """Return the canonical bytes of the manifest's file."""
        return _canonical(asdict(self))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read plain values.

        Raises
        ------
        PromotionError
            If the schema differs, or a key is unknown, missing or of the wrong type.
        """
        if values.get("schema") != SCHEMA or isinstance(values["schema"], bool):
            found = values.get("schema")
            what = "The manifest has another schema and does not pin what this version requires"
            raise PromotionError(f"{what}: must be schema {SCHEMA}", found=found, todo=AGAIN)
        known = [field.name for field in fields(cls)]
        for key in values:
            if key not in known:
                raise PromotionError("The manifest has an unknown key", found=key, todo=did_you_mean(key, known))
        if missing := [key for key in known if key not in values]:
            raise PromotionError(f"The manifest lacks {', '.join(missing)}", todo=AGAIN)
        _check_types(values)
        return cls(**values)


def sign_manifest(manifest: Manifest, keys_root: Path) -> Manifest:
    """Return the manifest with content hash and signature, by the key of this installation."""
    key = signing_key(keys_root)
    named = replace(manifest, public_key=fingerprint(key.public_key()))
    digest = _sha256(named.content())
    return replace(named, content_sha256=digest, signature=sign(digest, key))


def write_manifest(manifest: Manifest, folder: Path, keys_root: Path) -> Path:
    """Sign a manifest and write it atomically as `<folder>/<name>.json`; return its path.

    A name already in use gets the day and a hash as suffix: a promoted manifest is never overwritten.

    Raises
    ------
    InputError
        If the name is not a valid file name.
    PromotionError
        If the folder cannot be written.
    """
    if not _NAME.fullmatch(manifest.name):
        raise InputError("A manifest's name is letters, digits, _ and -, at most 80", found=manifest.name)
    if (folder / f"{manifest.name}.json").exists():
        manifest = _renamed(manifest)
    path = folder / f"{manifest.name}.json"
    try:
        make_public_folder(folder)
        write_public(path, _bounded(sign_manifest(manifest, keys_root).render()), new=True)
    except FileExistsError:
        raise PromotionError("This manifest exists already", found=str(path)) from None
    except OSError as error:
        raise PromotionError(f"The manifest cannot be written ({error.strerror})", found=str(path)) from error
    return path


def load_manifest(path: Path) -> Manifest:
    """Read a manifest's file and check that it is intact; `verify` then checks what it pins.

    Raises
    ------
    InputError
        If there is no such file.
    PromotionError
        If it is not a manifest, has another mode or schema, was changed, or is a live one without the evidence.
    """
    raw = _read(path)
    manifest = Manifest.from_json(_parsed(raw, path))
    if manifest.mode not in MODES:
        raise PromotionError(f"A manifest's mode is {' or '.join(MODES)}", found=manifest.mode, todo=AGAIN)
    if _sha256(manifest.content()) != manifest.content_sha256:
        raise PromotionError("The manifest was changed: its content hash does not match", found=str(path), todo=AGAIN)
    if manifest.render() != raw:
        raise PromotionError("The manifest's file was changed, though not its content", found=str(path), todo=AGAIN)
    check_verdict(manifest)
    return manifest


def load_past_manifest(path: Path) -> Manifest:
    """Read a manifest of a past session, not to trade by it; manifests of older versions of atb are read too.

    Raises
    ------
    InputError, PromotionError
        As `load_manifest`, except for the schema and the evidence that live requires today.
    """
    raw = _read(path)
    values = _parsed(raw, path)
    hashed = {key: value for key, value in values.items() if key not in {"content_sha256", "signature"}}
    if _sha256(hashed) != values.get("content_sha256"):
        raise PromotionError("The manifest was changed: its content hash does not match", found=str(path))
    if values.get("schema") == 1:
        values = {**values, "schema": SCHEMA, "locks": {}}
    return Manifest.from_json(values)


def check_verdict(manifest: Manifest) -> None:
    """Refuse a live manifest whose evidence does not pass today's gate for live; paper needs only its signature.

    Raises
    ------
    PromotionError
        The message has every reason.
    """
    if manifest.mode != "live":
        return
    values = manifest.evidence.get("gate")
    evidence = Evidence.from_json(values) if isinstance(values, dict) else None
    reasons: tuple[str, ...] = ("its evidence is not what this version's gate requires",)
    if evidence is not None:
        reasons = gate(evidence, mode="live").reasons
    if (manifest.verdict.get("mode"), manifest.verdict.get("passed")) != ("live", True):
        reasons = (*reasons, "its verdict is not the gate's on live")
    if reasons:
        todo = "Promote again: atb promote RUN_ID --to live"
        raise PromotionError(f"{manifest.name} may not trade real money: {'; '.join(reasons)}", todo=todo)


def decide_alike(first: Manifest, second: Manifest) -> bool:
    """True if two manifests trade the same, so that a rehearsal of one holds for the other."""
    return all(getattr(first, name) == getattr(second, name) for name in _DECISIVE)


def verify(
    manifest: Manifest,
    *,
    models_root: Path,
    keys_root: Path,
    trust_root: Path | None = None,
    package: Path = provenance.PACKAGE,
) -> list[str]:
    """Check everything the manifest pins against this installation; return warnings about differences that do not decide.

    Parameters
    ----------
    keys_root
        Folder of this installation's key, which may sign paper manifests.
    trust_root
        Folder of the trust store, whose keys may sign live and paper manifests; None is an empty store.

    Raises
    ------
    PromotionError
        The message names what changed (signature, source file, lock file, library, kernel, model.onnx, card.json) or what is not
        pinned.
    """
    if _sha256(manifest.content()) != manifest.content_sha256:
        raise PromotionError("The manifest was changed: its content hash does not match", todo=AGAIN)
    _check_signer(manifest, keys_root, trust_root)
    provenance.check_sources(manifest.sources, manifest.strategy["module"], package=package)
    provenance.check_locks(manifest.locks, package=package)
    warnings = provenance.check_versions(manifest.versions)
    provenance.check_kernel(manifest.kernel_hash, package=package)
    provenance.check_model(manifest.model, models_root)
    return warnings


def _check_signer(manifest: Manifest, keys_root: Path, trust_root: Path | None) -> None:
    keys = {} if trust_root is None else trusted_keys(trust_root)
    todo = f"If you know whose key it is: atb keys trust {manifest.public_key[:16]}; `atb keys` lists them"
    if manifest.mode == "paper":
        own = own_key(keys_root)
        keys |= {} if own is None else {fingerprint(own): own}
        todo = "Promote again with this installation's key: atb promote RUN_ID --to paper"
    check_signature(manifest.content_sha256, manifest.signature, signer=manifest.public_key, keys=keys, todo=todo)


_TEXTS = ("instrument", "model", "versions", "sources", "locks")  # dicts of text


def _check_types(values: Mapping[str, Any]) -> None:
    """Refuse a value of the wrong type; a signature says who wrote it, not that it is well-formed."""
    for field in fields(Manifest):
        value = values[field.name]
        if field.name == "model" and value is None:
            continue
        wanted = {"int": int, "str": str, "list": list, "dict": dict}[_plain_name(field.type)]
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise PromotionError(f"The manifest's {field.name} must be a {wanted.__name__}", found=value, todo=AGAIN)
        if field.name in _TEXTS and not all(isinstance(text, str) for text in values[field.name].values()):
            raise PromotionError(f"The manifest's {field.name} must hold only text", found=value, todo=AGAIN)
    _check_strategy(values["strategy"])
    if not all(isinstance(series, dict) for series in values["data"]):
        raise PromotionError("The manifest's data is a list of objects", found=values["data"], todo=AGAIN)
    if values["model"] is not None and set(values["model"]) != {"path", "model_sha256", "card_sha256", "fingerprint"}:
        raise PromotionError("The manifest's model has a path and three hashes", found=sorted(values["model"]))


def _check_strategy(strategy: Mapping[str, Any]) -> None:
    if set(strategy) != {"name", "module", "parameters"} or not isinstance(strategy["parameters"], dict):
        raise PromotionError("The manifest's strategy has name, module and parameters", found=sorted(strategy))
    if not isinstance(strategy["name"], str):
        raise PromotionError("The manifest's strategy must have a text as its name", found=strategy["name"], todo=AGAIN)
    module = strategy["module"]
    if not isinstance(module, str) or not all(part.isidentifier() for part in module.split(".")):
        raise PromotionError("The manifest's strategy is a module, such as atb.strategies.sma_cross", found=module)


def _plain_name(annotation: Any) -> str:
    return re.split(r"\W", str(getattr(annotation, "__name__", annotation)))[0]


def _bounded(content: bytes) -> bytes:
    if len(content) > LARGEST:
        raise PromotionError("The manifest is too large", found=f"{len(content):,} bytes")
    return content


def _renamed(manifest: Manifest) -> Manifest:
    digest = _sha256(manifest.content())[:8]
    day = manifest.created[:10].replace("-", "")
    return replace(manifest, name=f"{manifest.name[:60]}-{day}-{digest}")


def _read(path: Path) -> bytes:
    try:
        return read_file(path, max_bytes=LARGEST)
    except OSError as error:
        todo = "Promoted manifests are in runners/promoted; `atb promote RUN_ID --to paper` makes one"
        raise InputError(f"The manifest cannot be read ({error.strerror})", found=str(path), todo=todo) from None
    except ValueError as error:
        raise PromotionError(f"The manifest cannot be read: {error}", found=str(path), todo=AGAIN) from None


def _parsed(raw: bytes, path: Path) -> dict[str, Any]:
    try:
        values = parse_json(raw)
    except ValueError as error:
        raise PromotionError(f"The manifest is not JSON: {error}", found=str(path), todo=AGAIN) from None
    if not isinstance(values, dict):
        raise PromotionError("The manifest is not a JSON object", found=str(path), todo=AGAIN)
    return values


def _canonical(values: Mapping[str, Any]) -> bytes:
    text = json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8")


def _sha256(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(values)).hexdigest()

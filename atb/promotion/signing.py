"""Ed25519 signatures: the key pair is made on first use and stays in the data root; its private half is never shown.

A key is known by its fingerprint, the SHA-256 of its public bytes. Verification trusts every public key in the folder of
keys, so that a machine which only runs needs the public half alone: copy `*.pub`, never `*.pem`.
"""

import contextlib
import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from atb.errors import PromotionError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PRIVATE, PUBLIC = "promotion.pem", "promotion.pub"
_SIGNATURE = re.compile(r"[0-9a-f]{128}")
_PROMOTE = "Promote again with this installation's key: atb promote RUN_ID --to paper"


def signing_key(keys_root: Path) -> "Ed25519PrivateKey":
    """Return the installation's private key, made on first use with mode 0600 in a folder of mode 0700.

    Raises
    ------
    PromotionError
        If the key's file cannot be written, read, or is no Ed25519 key.
    """
    path = keys_root / PRIVATE
    try:
        if not path.exists():
            _make_key(keys_root)
        key = _private(path.read_bytes())
        if key is not None and not (keys_root / PUBLIC).exists():
            _write_public(keys_root, key)
    except OSError as error:
        raise PromotionError(f"The signing key cannot be used ({error.strerror})", found=str(path)) from error
    if key is None:
        raise PromotionError("The signing key is damaged", found=str(path), todo="Move it away; a new one is made")
    return key


def fingerprint(key: "Ed25519PublicKey") -> str:
    """Return the SHA-256 (hex) of a public key's raw bytes."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def sign(text: str, key: "Ed25519PrivateKey") -> str:
    """Return the signature of `text` as 128 small hexadecimal digits."""
    return key.sign(text.encode()).hex()


def check_signature(text: str, signature: str, *, signer: str, keys_root: Path) -> None:
    """Refuse a signature that the key of fingerprint `signer` did not make, or whose key is not in `keys_root`.

    Raises
    ------
    PromotionError
        If the signature is malformed, wrong, or by a key that this installation does not know.
    """
    from cryptography.exceptions import InvalidSignature

    key = _known_keys(keys_root).get(signer)
    if key is None:
        raise PromotionError(
            f"The manifest is signed by a key that is not in {keys_root}", found=signer[:16], todo=_PROMOTE
        )
    if not _SIGNATURE.fullmatch(signature):
        raise PromotionError("The manifest's signature is malformed", found=signature[:20], todo=_PROMOTE)
    try:
        key.verify(bytes.fromhex(signature), text.encode())
    except InvalidSignature:
        raise PromotionError("The manifest's signature does not match its content", todo=_PROMOTE) from None


def _known_keys(keys_root: Path) -> "dict[str, Ed25519PublicKey]":
    """Return the public keys of the folder by fingerprint; files that are no key are passed over."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    keys = {}
    for path in sorted(keys_root.glob("*.pub")):
        try:
            key = load_pem_public_key(path.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(key, Ed25519PublicKey):
            keys[fingerprint(key)] = key
    return keys


def _make_key(keys_root: Path) -> None:
    """Write a new pair; of two processes that try at once, the first to put the private key in place wins."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    keys_root.mkdir(parents=True, exist_ok=True)
    keys_root.chmod(0o700)
    secret = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    draft = keys_root / f".{PRIVATE}.{os.getpid()}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secret)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another process was first: its key is the one
            (keys_root / PRIVATE).hardlink_to(draft)
    finally:
        draft.unlink(missing_ok=True)


def _write_public(keys_root: Path, key: "Ed25519PrivateKey") -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    draft = keys_root / f".{PUBLIC}.{os.getpid()}"
    draft.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    draft.replace(keys_root / PUBLIC)


def _private(pem: bytes) -> "Ed25519PrivateKey | None":
    """Return the key in PEM text, None if there is none; the text itself never reaches a message."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except ValueError:
        return None
    return key if isinstance(key, Ed25519PrivateKey) else None

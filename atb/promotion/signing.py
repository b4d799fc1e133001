"""Ed25519 signatures: the key pair is made on first use and stays in the data root; the private key is never shown.

A key is identified by its fingerprint, the SHA-256 of its public bytes. The pair in the data folder signs paper manifests; a
machine that only runs needs just the public key: copy `promotion.pub`, never `promotion.pem`. Other files beside them are not
used. Live manifests are signed by a separate pair, see `trust`.
"""

import contextlib
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from atb.errors import InputError, PromotionError
from atb.files import PRIVATE_FOLDER, exposure, make_private_folder, write_private, write_public
from atb.reading import read_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PRIVATE, PUBLIC = "promotion.pem", "promotion.pub"
_LARGEST = 65_536  # bytes of a key's file
_SIGNATURE = re.compile(r"[0-9a-f]{128}")
_PROMOTE = "Promote again with this installation's key: atb promote RUN_ID --to paper"


def signing_key(keys_root: Path) -> "Ed25519PrivateKey":
    """Return a folder's private key, made on first use with mode 0600 in a folder of mode 0700.

    Raises
    ------
    PromotionError
        If the key's file cannot be written or read, is accessible to others, or holds no Ed25519 key.
    """
    path = keys_root / PRIVATE
    try:
        if not path.exists():
            _make_key(keys_root)
        if (wrong := exposure(path)) is not None:
            raise PromotionError(f"The signing key {wrong[0]}", found=str(path), todo=wrong[1])
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
    """Return the signature of `text` as 128 lower-case hexadecimal digits."""
    return key.sign(text.encode()).hex()


def check_signature(
    text: str, signature: str, *, signer: str, keys: "Mapping[str, Ed25519PublicKey]", todo: str = _PROMOTE
) -> None:
    """Refuse a signature that was not made by the key with fingerprint `signer`, or a signer not among `keys`.

    Raises
    ------
    PromotionError
        If the signature is malformed or wrong, or the key is unknown; `todo` is the advice for the last.
    """
    from cryptography.exceptions import InvalidSignature

    key = keys.get(signer)
    if key is None:
        raise PromotionError("The manifest is signed by a key that is not trusted for it", found=signer[:16], todo=todo)
    if not _SIGNATURE.fullmatch(signature):
        raise PromotionError("The manifest's signature is malformed", found=signature[:20], todo=_PROMOTE)
    try:
        key.verify(bytes.fromhex(signature), text.encode())
    except InvalidSignature:
        raise PromotionError("The manifest's signature does not match its content", todo=_PROMOTE) from None


def own_key(keys_root: Path) -> "Ed25519PublicKey | None":
    """Return the public key of a folder's own pair; without the private key, the one in `promotion.pub`; None without either.

    Raises
    ------
    InputError, PromotionError
        If a key exists and cannot be read.
    """
    if (keys_root / PRIVATE).exists():
        return signing_key(keys_root).public_key()
    return read_public_key(keys_root / PUBLIC) if (keys_root / PUBLIC).exists() else None


def read_public_key(path: Path) -> "Ed25519PublicKey":
    """Return the Ed25519 public key in a PEM file.

    Raises
    ------
    InputError
        If there is none.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(read_file(path, max_bytes=_LARGEST))
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a public key"
        raise InputError(f"The key cannot be read ({reason})", found=str(path)) from None
    if not isinstance(key, Ed25519PublicKey):
        raise InputError("The key is not an Ed25519 public key", found=str(path))
    return key


def _make_key(keys_root: Path) -> None:
    """Write a new pair; if two processes try at once, the first to write the private key wins."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    make_private_folder(keys_root)
    keys_root.chmod(PRIVATE_FOLDER)
    secret = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with contextlib.suppress(FileExistsError):  # another process was first, and its key is used
        write_private(keys_root / PRIVATE, secret, new=True)


def _write_public(keys_root: Path, key: "Ed25519PrivateKey") -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    write_public(keys_root / PUBLIC, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def _private(pem: bytes) -> "Ed25519PrivateKey | None":
    """Return the key in PEM text, None if there is none; the text itself never appears in a message."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except ValueError:
        return None
    return key if isinstance(key, Ed25519PrivateKey) else None

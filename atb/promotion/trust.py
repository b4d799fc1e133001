"""The trust store: keys that may sign manifests for real money, each added by typing its fingerprint.

Anyone who can write the data folder or `runners/promoted` can put keys and manifests there and make a paper runner trade them. Real
money requires more: the signing key must be on this list, which lies in the user's configuration (`~/.config/atb`, or the setting
`live.trust_root`) and never inside the data folder. A file dropped there does not count: a key is on the list only with its
fingerprint, as `atb keys trust` writes it after the fingerprint was typed. Live manifests are signed by a key in that folder, so
reading the data folder is not enough to sign them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atb.errors import ConfigError, InputError, PromotionError
from atb.files import exposure, make_private_folder, write_private
from atb.promotion.signing import fingerprint
from atb.reading import read_json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FILE = "trusted.json"
DIGITS = 16  # of a fingerprint that must be typed
_LARGEST = 65_536  # bytes of the list


@dataclass(frozen=True, slots=True)
class Trusted:
    """A key trusted for real money: its fingerprint, and since when (ISO 8601, UTC)."""

    fingerprint: str
    since: str


def check_place(trust_root: Path, data_root: Path) -> None:
    """Refuse a trust store inside the data folder.

    Raises
    ------
    ConfigError
        The message names both.
    """
    if trust_root.resolve().is_relative_to(data_root.resolve()):
        raise ConfigError(
            f"The trust store must not lie in the data folder {data_root}, whose writers could then trust their own keys",
            found=str(trust_root), todo="Set live.trust_root to a folder outside of it",
        )  # fmt: skip


def trusted(trust_root: Path) -> list[Trusted]:
    """Return the keys on the list, oldest first.

    Raises
    ------
    PromotionError
        If the list is damaged, or others can write it.
    """
    return [Trusted(name, str(entry["since"])) for name, entry in _entries(trust_root).items()]


def trusted_keys(trust_root: Path) -> "dict[str, Ed25519PublicKey]":
    """Return the public keys on the list by fingerprint; errors are those of `trusted`."""
    return {name: _public(bytes.fromhex(entry["public_key"])) for name, entry in _entries(trust_root).items()}


def trust(trust_root: Path, key: "Ed25519PublicKey", typed: str) -> Trusted:
    """Add a key to the list, if `typed` is its fingerprint: at least the first `DIGITS` digits.

    Raises
    ------
    InputError
        If something else was typed.
    PromotionError
        If the list is damaged, others can write it, or it cannot be written.
    """
    name = fingerprint(key)
    entered = typed.strip().lower()
    if len(entered) < DIGITS or not name.startswith(entered):
        raise InputError("That is not the key's fingerprint", found=typed, todo=f"It begins with {name[:DIGITS]}")
    entries = _entries(trust_root)
    since = datetime.now(UTC).isoformat(timespec="seconds")
    _write(trust_root, {**entries, name: {"public_key": key.public_bytes_raw().hex(), "since": since}})
    return Trusted(name, since)


def distrust(trust_root: Path, beginning: str) -> Trusted:
    """Remove a key from the list, by a prefix of its fingerprint.

    Raises
    ------
    InputError
        If no key matches, or several do.
    PromotionError
        As `trust`.
    """
    entries = _entries(trust_root)
    found = [name for name in entries if name.startswith(beginning.strip().lower())]
    if len(found) != 1 or not beginning.strip():
        raise InputError(
            f"{len(found)} trusted keys start like this",
            found=beginning,
            todo="`atb keys` lists them; type more digits",
        )
    _write(trust_root, {name: entry for name, entry in entries.items() if name != found[0]})
    return Trusted(found[0], str(entries[found[0]]["since"]))


def _entries(trust_root: Path) -> dict[str, dict[str, str]]:
    path = trust_root / FILE
    if not path.exists() and not path.is_symlink():
        return {}
    if (wrong := exposure(path)) is not None:
        raise PromotionError(f"The list of trusted keys {wrong[0]}", found=str(path), todo=wrong[1])
    try:
        found = read_json(path, max_bytes=_LARGEST)
    except (OSError, ValueError) as error:
        raise PromotionError(f"The list of trusted keys cannot be read: {error}", found=str(path)) from None
    if not isinstance(found, dict) or not all(_is_valid(name, entry) for name, entry in found.items()):
        todo = "Move it away, and trust the keys again: atb keys trust"
        raise PromotionError("The list of trusted keys is damaged", found=str(path), todo=todo)
    return found


def _is_valid(name: str, entry: Any) -> bool:
    """True if an entry holds the key of its fingerprint."""
    if not isinstance(entry, dict) or set(entry) != {"public_key", "since"}:
        return False
    try:
        return fingerprint(_public(bytes.fromhex(entry["public_key"]))) == name and isinstance(entry["since"], str)
    except (TypeError, ValueError):
        return False


def _public(raw: bytes) -> "Ed25519PublicKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return Ed25519PublicKey.from_public_bytes(raw)


def _write(trust_root: Path, entries: Mapping[str, Any]) -> None:
    try:
        make_private_folder(trust_root)
        write_private(trust_root / FILE, (json.dumps(entries, indent=2) + "\n").encode())
    except OSError as error:
        raise PromotionError(
            f"The list of trusted keys cannot be written ({error.strerror})", found=str(trust_root)
        ) from None

"""Contents of the files of an import: folders listed, archives opened, checksums compared, sizes bounded.

A file's kind is read from its first bytes, never from its name: a `.csv` may be gzipped, a `.zip` may be a workbook. Nothing is
extracted to disk, and the unpacked size is bounded, so that a small file cannot fill the memory.
"""

import bz2
import gzip
import hashlib
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, Any

from atb.decimals import counted
from atb.errors import DataError, InputError

LARGEST = 4 * 1024**3
"""Most bytes that are read of all files of an import together."""
_SUSPICIOUS, _RATIO = 256 * 1024**2, 250  # candles shrink to a fifth or a tenth; a bomb to a thousandth
_CHUNK = 1024 * 1024
_SUFFIXES = {".csv", ".txt", ".tsv", ".zip", ".gz", ".xz", ".bz2", ".parquet", ".pq", ".feather", ".arrow", ".json"}
_OPENERS: dict[bytes, Callable[[BytesIO], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"\xfd7zXZ\x00": lzma.open,
    b"BZh": bz2.open,
}
_EXPORT = "Export the sheet or table as CSV and import that"
# Protocols 2 to 5, and the text of 0 and 1: an object of a module, a dict, a list.
_PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"ccopy", b"cpandas.", b"cnumpy.", b"(dp", b"(lp")
_FOREIGN: tuple[tuple[bytes, str, str], ...] = (
    (b"\xd0\xcf\x11\xe0", "an Excel workbook", _EXPORT),
    (b"\x89HDF", "HDF5", "Load it with pandas and write it with `frame.to_parquet(...)`"),
    (b"SQLite format 3", "an SQLite database", _EXPORT),
    *((start, "a pickle", "Load it with pandas and write it with `frame.to_parquet(...)`") for start in _PICKLES),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "Unpack it and import what was in it"),
    (b"Rar!", "a RAR archive", "Unpack it and import what was in it"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", "Unpack it and import what was in it"),
    (b"%PDF", "a PDF", _EXPORT),
)


@dataclass(frozen=True)
class Content:
    """One file's bytes, unpacked, and the name that messages and sources call it by."""

    name: str
    data: bytes


def read_contents(paths: Iterable[Path]) -> tuple[list[Content], list[str]]:
    """Return the contents of files, archives and folders, in the order given, and notes on what was left out.

    Raises
    ------
    InputError
        If a path is missing, is no regular file, or a folder holds nothing that could be imported.
    DataError
        If a file is empty, damaged, too large, or of a kind that is not read.
    """
    notes: list[str] = []
    found: list[Content] = []
    files, agreed = _files(paths, notes), list[str]()
    for path in (file for file in files if not _is_checksum(file.name)):
        raw = _read(path)
        agreed += [path.name] if _agrees(path, raw, notes) else []
        found += _unpacked(path.name, raw, notes)
        if sum(len(content.data) for content in found) > LARGEST:
            raise DataError(f"More than {LARGEST / 1e9:.1f} GB at once", found=path.name, todo="Import fewer files")
    if not found:
        names = ", ".join(file.name for file in files)
        raise InputError("No file of bars among these", found=names, todo="Give CSV, zip or Parquet")
    return found, [*notes, *_checksum_notes(agreed, [file.name for file in files if _is_checksum(file.name)])]


def _checksum_notes(agreed: list[str], left_out: list[str]) -> list[str]:
    notes = []
    if agreed:
        which = f"{agreed[0]} agrees" if len(agreed) == 1 else f"{len(agreed)} files agree"
        notes.append(f"{which} with the CHECKSUM file beside")
    if left_out:
        notes.append(f"{left_out[0] if len(left_out) == 1 else f'{len(left_out)} checksum files'} left out")
    return notes


def _files(paths: Iterable[Path], notes: list[str]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        kind = _kind(path)
        if kind == "folder":
            files += _listed(path, notes)
        elif kind == "file":
            files.append(path)
        elif kind:
            raise InputError(
                "Not a regular file", found=str(path), todo="Write what it gives to a file and import that"
            )
        else:
            raise InputError("No such file", found=str(path), todo="Check the path")
    return files


def _kind(path: Path) -> str:
    """Return `folder`, `file`, `other`, or nothing where there is none."""
    try:
        return "folder" if path.is_dir() else "file" if path.is_file() else "other" if path.exists() else ""
    except OSError as error:  # a name too long, a folder that may not be looked into
        raise InputError("The path cannot be looked at", found=str(path)[:120], todo=error.strerror or "") from error


def _listed(folder: Path, notes: list[str]) -> list[Path]:
    """Return the files of a folder that may hold bars, by name; folders inside it are not entered."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    wanted = [path for path in files if path.suffix.lower() in _SUFFIXES]
    if not wanted:
        raise InputError(
            "The folder itself holds no file of bars", found=str(folder), todo="Give CSV, zip or Parquet files"
        )
    others = [path.name for path in files if path not in wanted and not _is_checksum(path.name)]
    if others:
        notes.append(f"left out of {folder.name}: {', '.join(others[:3])}{' ...' * (len(others) > 3)}")
    return wanted


def _is_checksum(name: str) -> bool:
    return name.lower().endswith((".checksum", ".sha256", ".md5"))


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST:
            raise DataError("The file is too large", found=f"{path.name}: {path.stat().st_size / 1e9:.1f} GB")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path.name} cannot be read", found=error.strerror, todo="Check its rights") from error
    if not data:
        raise DataError("The file is empty", found=path.name, todo="Download or export it again")
    return data


def _agrees(path: Path, raw: bytes, notes: list[str]) -> bool:
    """Return whether a file has a `.CHECKSUM` beside it, as data.binance.vision gives them; refuse one that differs."""
    beside = path.with_name(f"{path.name}.CHECKSUM")
    if not beside.is_file():
        return False
    wanted = re.match(rb"\s*([0-9a-fA-F]{64})\b", beside.read_bytes()[:200])
    if wanted is None:
        notes.append(f"{beside.name} left out: it holds no SHA-256")
    elif wanted[1].decode().lower() != hashlib.sha256(raw).hexdigest():
        raise DataError(f"{path.name} is not what its CHECKSUM file says", todo="Download it again")
    else:
        return True
    return False


def _unpacked(name: str, raw: bytes, notes: list[str], *, depth: int = 0) -> list[Content]:
    for start, kind, todo in _FOREIGN:
        if raw.startswith(start):
            raise DataError(f"{name} is {kind}, which is not read", todo=todo)
    if depth and raw.startswith((b"PK\x03\x04", *_OPENERS)):
        raise DataError(f"{name} is packed twice", todo="Unpack it and import what was in it")
    if raw.startswith(b"PK\x03\x04"):
        return _members(name, raw, notes)
    for start, opener in _OPENERS.items():
        if raw.startswith(start):
            with opener(BytesIO(raw)) as stream:
                inner = _bounded(stream, name, packed=len(raw))
            return _unpacked(name, inner, notes, depth=1)
    if raw[257:262] == b"ustar":
        raise DataError(f"{name} is a tar archive, which is not read", todo="Unpack it and import what was in it")
    if re.match(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|\?xml)", raw[:200], re.IGNORECASE):
        raise DataError(f"{name} is a web page, not a file of bars", todo="Download the file itself")
    if not raw:
        raise DataError(f"{name} is empty", todo="Download or export it again")
    return [Content(name, raw)]


def _bounded(stream: IO[bytes], name: str, *, packed: int) -> bytes:
    """Return a decompressed stream; refuse a ratio that candles cannot reach."""
    parts: list[bytes] = []
    size = 0
    try:
        while chunk := stream.read(_CHUNK):
            parts.append(chunk)
            size += len(chunk)
            if size > LARGEST or (size > _SUSPICIOUS and size > _RATIO * packed):
                raise DataError(f"{name} unpacks to far more than a file of bars", found=f"over {size / 1e6:.0f} MB")
    except (
        OSError,
        EOFError,
        lzma.LZMAError,
        zlib.error,
        zipfile.BadZipFile,
        RuntimeError,
    ) as error:
        todo = "Download it again" if not isinstance(error, RuntimeError) else "Unpack it and import what was in it"
        raise DataError(
            f"{name} cannot be unpacked: it is damaged, encrypted or packed unusually", todo=todo
        ) from error
    return b"".join(parts)


def _members(name: str, raw: bytes, notes: list[str]) -> list[Content]:
    """Return the files in a zip archive that may hold bars, by name."""
    try:
        with zipfile.ZipFile(BytesIO(raw)) as archive:
            inside = {info.filename: info for info in archive.infolist() if not info.is_dir()}
            if "[Content_Types].xml" in inside:
                raise DataError(f"{name} is an Excel workbook, which is not read", todo=_EXPORT)
            wanted = sorted(member for member in inside if _may_hold_bars(member)) or list(inside)[: len(inside) == 1]
            if not wanted:
                raise DataError(f"{name} holds no file of bars", found=", ".join(sorted(inside)[:3]) or "nothing")
            others = len(inside) - len(wanted)
            if others:
                notes.append(f"{counted(others, 'other file')} in {name} left out")
            found: list[Content] = []
            for member in wanted:
                inner = PurePosixPath(member).name
                with archive.open(inside[member]) as stream:
                    data = _bounded(stream, f"{inner} in {name}", packed=len(raw))
                found += [
                    Content(inner, content.data) for content in _unpacked(f"{inner} in {name}", data, notes, depth=1)
                ]
                if sum(len(content.data) for content in found) > max(_SUSPICIOUS, _RATIO * len(raw)):
                    raise DataError(f"{name} unpacks to far more than files of bars")
    except (zipfile.BadZipFile, OSError, RuntimeError, ValueError) as error:
        raise DataError(
            f"{name} cannot be unpacked: it is damaged, encrypted or packed unusually",
            todo="Download it again, or unpack it and import what was in it",
        ) from error
    return found


def _may_hold_bars(member: str) -> bool:
    path = PurePosixPath(member)
    hidden = path.name.startswith(".") or "__MACOSX" in path.parts
    return not hidden and path.suffix.lower() in _SUFFIXES and "readme" not in path.name.lower()

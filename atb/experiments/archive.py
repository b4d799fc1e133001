"""A run as one file: a zip archive of its folder with the hash of every file, that another machine reads back as the same run."""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from atb.db import Database
from atb.db.tables import RUN_STATUSES, RunRow
from atb.errors import InputError
from atb.experiments.publication import RECORD, to_json
from atb.experiments.registry import SCRATCH, runs_by_id
from atb.files import cannot_be_written, files_below, make_private_folder, secure_folder, write_private, write_public
from atb.reading import MIB

if TYPE_CHECKING:
    from atb.config import Settings

CONTENTS, SCHEMA = "contents.json", 1
LARGEST = 1_024 * MIB  # bytes of an archive, unpacked
MOST_FILES = 10_000
_MOMENT = (2020, 1, 1, 0, 0, 0)  # of every file in an archive: equal runs give equal bytes
_COLUMNS = tuple(column.name for column in RunRow.__table__.columns)
_TIMES = ("started_at", "ended_at")
_OWN = ("holder", "claim", "path")  # columns that mean something on one machine alone


def export_run(run: RunRow, target: Path | str) -> Path:
    """Write a finished run's folder as one file, and return its path.

    A folder as `target` gets a file named by the run; a text that ends in `/` is a folder, made if it is missing.

    Raises
    ------
    InputError
        If the run is still at work, its folder is gone, or the file exists or can have no place.
    """
    folder, path = Path(run.path), _target(run, target)
    if run.status == "running":
        raise InputError("A run that is at work cannot be exported", found=run.run_id, todo="Wait until it has ended")
    if not folder.is_dir():
        raise InputError(
            "The folder of the run is not here", found=str(folder), todo="Export it on the machine that ran it"
        )
    if path.exists():
        raise InputError("There is such a file already", found=str(path), todo="Name another one: --to FILE")
    _make_room(path)
    files = {
        name.relative_to(folder).as_posix(): name.read_bytes()
        for name in files_below(folder)
        if SCRATCH not in name.parts
    }
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
    contents = {"schema": SCHEMA, "run_id": run.run_id, "files": hashes}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in [(CONTENTS, to_json(contents).encode()), *sorted(files.items())]:
            archive.writestr(zipfile.ZipInfo(name, _MOMENT), content, zipfile.ZIP_DEFLATED)
    try:
        write_public(path, packed.getvalue())
    except OSError as error:
        raise cannot_be_written(path, error) from None
    return path


def _target(run: RunRow, target: Path | str) -> Path:
    """Return the file to write: in a folder, which a text that ends in `/` is too, it is named by the run."""
    named = isinstance(target, str) and target.endswith("/")
    return Path(target, f"{run.run_id}.zip") if named or Path(target).is_dir() else Path(target)


def _make_room(path: Path) -> None:
    """Make the folder of a file to write."""
    try:
        make_private_folder(path.parent)
    except OSError as error:
        raise InputError(
            f"There can be no such folder ({error.strerror})",
            found=str(path.parent),
            todo="Name another one: --to FOLDER/",
        ) from None


def import_run(source: Path, *, settings: "Settings", database: Database) -> RunRow:
    """Read an exported run into the folder and the registry of runs, and return its row.

    Raises
    ------
    InputError
        If the file is no such archive, was changed, or the run is here already; then nothing is written.
    """
    files = _read(source)
    row = _row(files, source)
    folder = settings.runs_root.resolve() / row.run_id
    if runs_by_id(database, [row.run_id]) or folder.exists():
        raise InputError("The run is here already", found=row.run_id, todo=f"`atb runs show {row.run_id}`")
    row.path = str(folder)
    make_private_folder(folder)
    for name, content in files.items():
        path = folder / name
        make_private_folder(path.parent)
        write_private(path, content)
    secure_folder(folder)
    with database.session() as session:
        session.add(row)
    return row


def _read(source: Path) -> dict[str, bytes]:
    """Return the files of an archive, each as its hash says."""
    try:
        with zipfile.ZipFile(source) as archive:
            found = dict(_unpacked(archive, source))
    except (OSError, zipfile.BadZipFile, EOFError, RuntimeError) as error:
        raise InputError(
            f"The file is no exported run ({error})", found=str(source), todo="`atb runs export` writes one"
        ) from None
    try:
        contents = json.loads(found.pop(CONTENTS))
        hashes = dict(contents["files"])
        known = contents["schema"] == SCHEMA
    except (KeyError, TypeError, ValueError) as error:
        raise _foreign(source, f"its list of files is not whole: {type(error).__name__}") from None
    if not known:
        raise InputError("The run was exported by a newer atb", found=str(source), todo="Update atb")
    changed = sorted(
        name for name in {*found, *hashes} if hashes.get(name) != hashlib.sha256(found.get(name, b"")).hexdigest()
    )
    if changed:
        raise InputError("The exported run was changed", found=", ".join(changed[:5]), todo="Export it again")
    return found


def _unpacked(archive: zipfile.ZipFile, source: Path) -> Iterator[tuple[str, bytes]]:
    members = archive.infolist()
    if len(members) > MOST_FILES or sum(member.file_size for member in members) > LARGEST:
        raise _foreign(source, "it is too large")
    for member in members:
        path = PurePosixPath(member.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in member.filename or member.is_dir() or not path.parts:
            raise _foreign(source, f"it names {member.filename!r}")
        yield path.as_posix(), archive.read(member)


def _row(files: dict[str, bytes], source: Path) -> RunRow:
    """Return the row that an archive's record describes."""
    try:
        record: dict[str, Any] = json.loads(files[RECORD])
        values = {name: record[name] for name in _COLUMNS if name in record and name not in _OWN}
        values |= {name: datetime.fromisoformat(values[name]) for name in _TIMES if values.get(name)}
        row = RunRow(**values)
        whole = row.status in RUN_STATUSES[1:] and PurePosixPath(row.run_id).name == row.run_id and bool(row.run_id)
    except (KeyError, TypeError, ValueError) as error:
        raise _foreign(source, f"its record is not whole: {type(error).__name__}") from None
    if not whole:
        raise _foreign(source, "its record is not that of a finished run")
    return row


def _foreign(source: Path, why: str) -> InputError:
    return InputError(f"The file is no exported run: {why}", found=str(source), todo="`atb runs export` writes one")

"""The identity of a run: a hash of everything it depends on, by which a finished identical run is found and not repeated.

It covers the notebook, the parameters, the sources of atb and of your own strategies, the versions of Python and of the packages
that can change a result, the stored bars and the stored models. Whatever changes there makes another identity: rather a run too
many than an old result taken for a new one. Files are distinguished by size and last bytes, since a catalogue's file ends in its
seal, and a machine that stores gigabytes answers at once.

A notebook that *makes* a model changes what it depends on. So a run whose published model was not there when it began is known by
an identity without models, and a batch asks for both.
"""

import functools
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atb.experiments.lineage import file_sha256, json_sha256, versions

if TYPE_CHECKING:
    from atb.config import Settings

PACKAGE = Path(__file__).resolve().parents[1]
STORED = frozenset({".parquet", ".json", ".csv"})  # kinds of files in a catalogue; locks are none of it
TAIL = 1 << 16  # bytes at a file's end; the seal of a catalogue's file is among them


@dataclass(frozen=True)
class Inputs:
    """The inputs that the runs of a notebook share, as hashes; `known` are the models that are stored, by their path."""

    notebook: str
    code: str
    data: str
    models: str
    known: frozenset[str] = frozenset()

    def identities(self, parameters: Mapping[str, Any]) -> tuple[str, str]:
        """Return the identity of a run with these parameters, and the one it has if it makes a model."""
        common = {
            "notebook": self.notebook,
            "code": self.code,
            "data": self.data,
            "parameters": json_sha256(parameters),
        }
        return json_sha256({**common, "models": self.models}), json_sha256({**common, "models": None})


def inputs_of(notebook: Path, settings: "Settings") -> Inputs:
    """Return the inputs of a notebook's runs here and now, besides their parameters."""
    models = sorted(settings.models_root.resolve().rglob("card.json"))
    return Inputs(
        file_sha256(notebook),
        code_sha256(settings),
        data_sha256(settings),
        _files_sha256(settings.models_root.resolve(), models),
        frozenset(str(path.parent) for path in models),
    )


def code_sha256(settings: "Settings") -> str:
    """Return the hash of what computes: sources of atb and of your own strategies, and versions."""
    own = settings.strategies_root.resolve()
    theirs = _files_sha256(own, sorted(own.rglob("*.py")))
    return json_sha256({"atb": _package_sha256(), "own": theirs, "versions": versions()})


def data_sha256(settings: "Settings") -> str:
    """Return the hash of what is stored in the catalogue: two machines with the same bars have the same one."""
    root = settings.bars_root.resolve()
    return _files_sha256(root, sorted(path for path in root.rglob("*") if path.suffix in STORED))


@functools.cache
def _package_sha256() -> str:
    return _files_sha256(PACKAGE, sorted(PACKAGE.rglob("*.py")))


def _files_sha256(root: Path, paths: Iterable[Path]) -> str:
    """Return one hash over files: names below `root`, sizes, last bytes."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - TAIL))
                digest.update(f"{path.relative_to(root).as_posix()}\0{size}\0".encode() + file.read())
        except OSError:  # it was replaced meanwhile: another state, whose hash matches no other
            digest.update(f"{path}\0gone\0".encode())
    return digest.hexdigest()

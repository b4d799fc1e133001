"""A checkout in a test's own folder: what a runner and a promotion read of one, free to be changed."""

import py_compile
import shutil
from pathlib import Path

from atb.promotion import provenance

PARTS = ("atb", "runners", *provenance.LOCKS)


def copied_checkout(folder: Path) -> Path:
    """Copy package, runner and lock files, without byte code; return the copied package."""
    origin = provenance.PACKAGE.parent
    for part in PARTS:
        if (origin / part).is_dir():
            shutil.copytree(origin / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "promoted"))
        elif (origin / part).exists():
            shutil.copy(origin / part, folder / part)
    return folder / "atb"


def plant(source: Path, code: str) -> Path:
    """Put other byte code where Python looks for a source's, with the source's own time and size in its head."""
    stamp = source.stat()
    other = source.with_name(f".{source.name}.other")
    other.write_text(code)
    planted = Path(py_compile.compile(str(other), cfile=_cached(source), doraise=True))
    other.unlink()
    head = int(stamp.st_mtime).to_bytes(4, "little") + stamp.st_size.to_bytes(4, "little")
    planted.write_bytes(planted.read_bytes()[:8] + head + planted.read_bytes()[16:])
    return planted


def _cached(source: Path) -> str:
    from importlib.util import cache_from_source

    return cache_from_source(str(source))

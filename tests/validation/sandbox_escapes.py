"""Ways in which a strategy could learn what it is not told: each returns whether it did. Files are made by `make_files`."""

import codecs
import ctypes
import datetime as dt
import gc
import gzip
import importlib.machinery
import importlib.resources
import io
import linecache
import mmap
import os
import resource
import runpy
import select
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import tokenize
import urllib.request
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import shared_memory
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from atb.domain import Signals
from tests.validation import biased_strategies

SECRET = "what comes next"
SCALE = 2**52  # a confidence is at most 1, and holds so many bits


def make_files(folder: Path) -> None:
    """Write the secret in every format that a way reads."""
    frame = pd.DataFrame({"known": [SECRET]})
    (folder / "text").write_text(SECRET)
    frame.to_csv(folder / "csv", index=False)
    frame.to_parquet(folder / "parquet")
    frame.to_feather(folder / "feather")
    np.save(folder / "array.npy", np.frombuffer(SECRET.encode(), np.uint8))
    with gzip.open(folder / "gz", "wt") as file:
        file.write(SECRET)
    with zipfile.ZipFile(folder / "zip", "w") as file:
        file.writestr("text", SECRET)
    with sqlite3.connect(folder / "db") as database:
        database.execute("create table known (what text)")
        database.execute("insert into known values (?)", (SECRET,))
    database.close()
    (folder / "script").write_text(f"known = {SECRET!r}")
    (folder / "package").mkdir()
    (folder / "package" / "text").write_text(SECRET)


def _shared_memory() -> bool:
    made = shared_memory.SharedMemory(create=True, size=16)
    made.close()
    made.unlink()
    return True


def _foreign(folder: Path) -> bool:
    number = ctypes.CDLL(None).open(os.fsencode(folder / "text"), 0)
    return number >= 0 and os.read(number, 99).decode() == SECRET


def _foreign_by_python(folder: Path) -> bool:
    number = ctypes.pythonapi["open"](os.fsencode(folder / "text"), 0)
    return number >= 0 and os.read(number, 99).decode() == SECRET


def _after_one_that_may(folder: Path) -> bool:
    Path(os.__file__).read_bytes()
    return pq.read_table(folder / "parquet")["known"][0].as_py() == SECRET


def _after_more_descriptors(folder: Path) -> bool:
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    return pq.read_table(folder / "parquet")["known"][0].as_py() == SECRET


def _in_a_fork(folder: Path) -> bool:
    child = os.fork()
    if child == 0:
        os._exit(7)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def _by_socket(folder: Path) -> bool:
    with socket.socket(socket.AF_UNIX), socket.socketpair()[0]:
        return True


def _mapped(folder: Path) -> bool:
    with (folder / "text").open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        return mapped[:].decode() == SECRET


def _numbered(folder: Path) -> bool:
    return os.read(os.open(folder / "text", os.O_RDONLY), 99).decode() == SECRET


def _in_shared_memory(folder: Path) -> bool:
    path = Path("/dev/shm") / f"a-strategy-{folder.name}"
    try:
        path.write_text(SECRET)
        return path.read_text() == SECRET
    finally:
        path.unlink(missing_ok=True)


def _by_database(folder: Path) -> bool:
    with sqlite3.connect(folder / "db") as database:
        return database.execute("select what from known").fetchone()[0] == SECRET


def _by_resources(folder: Path) -> bool:
    sys.path.insert(0, str(folder))
    try:
        return (importlib.resources.files("package") / "text").read_text() == SECRET
    finally:
        sys.path.remove(str(folder))


def _in_compiled_folder(folder: Path) -> bool:
    path = folder / "__pycache__" / "memory"
    path.parent.mkdir(exist_ok=True)
    path.write_text(SECRET)
    return path.read_text() == SECRET


def _copied(folder: Path) -> bool:
    return Path(shutil.copyfile(folder / "text", folder / "copy")).exists()


# ruff: noqa: SIM115, PTH208 - the very calls are tried
WAYS: dict[str, Callable[[Path], bool]] = {
    "open": lambda folder: (folder / "text").read_text() == SECRET,
    "io.FileIO": lambda folder: io.FileIO(folder / "text").read().decode() == SECRET,
    "io.open_code": lambda folder: io.open_code(str(folder / "text")).read().decode() == SECRET,
    "os.open": _numbered,
    "codecs": lambda folder: codecs.open(str(folder / "text")).read() == SECRET,
    "linecache": lambda folder: linecache.getline(str(folder / "text"), 1).strip() == SECRET,
    "tokenize": lambda folder: tokenize.open(folder / "text").read() == SECRET,
    "gzip": lambda folder: gzip.open(folder / "gz", "rt").read() == SECRET,
    "zipfile": lambda folder: zipfile.ZipFile(folder / "zip").read("text").decode() == SECRET,
    "mmap": _mapped,
    "sqlite3": _by_database,
    "numpy.fromfile": lambda folder: np.fromfile(folder / "text", np.uint8).tobytes().decode() == SECRET,
    "numpy.load": lambda folder: np.load(folder / "array.npy").tobytes().decode() == SECRET,
    "numpy.memmap": lambda folder: bytes(np.memmap(folder / "text", mode="r")).decode() == SECRET,
    "numpy.loadtxt": lambda folder: str(np.loadtxt(folder / "text", str, delimiter="\t")) == SECRET,
    "pandas.read_csv": lambda folder: pd.read_csv(folder / "csv")["known"][0] == SECRET,
    "pandas.read_csv by pyarrow": lambda folder: pd.read_csv(folder / "csv", engine="pyarrow")["known"][0] == SECRET,
    "pandas.read_parquet": lambda folder: pd.read_parquet(folder / "parquet")["known"][0] == SECRET,
    "pandas.read_feather": lambda folder: pd.read_feather(folder / "feather")["known"][0] == SECRET,
    "pyarrow.memory_map": lambda folder: pa.memory_map(str(folder / "text")).read().decode() == SECRET,
    "pyarrow.OSFile": lambda folder: pa.OSFile(str(folder / "text")).read().decode() == SECRET,
    "pyarrow after a file that may be read": _after_one_that_may,
    "pyarrow after more descriptors": _after_more_descriptors,
    "ctypes": _foreign,
    "ctypes.pythonapi": _foreign_by_python,
    "subprocess": lambda folder: subprocess.check_output(["/bin/cat", str(folder / "text")]).decode() == SECRET,
    "os.system": lambda folder: os.system(f"/usr/bin/test -e {folder / 'text'}") == 0,
    "os.fork": _in_a_fork,
    "socket": _by_socket,
    "shared memory": lambda folder: _shared_memory(),
    "/dev/shm": _in_shared_memory,
    "/proc/self/root": lambda folder: Path(f"/proc/self/root{folder / 'text'}").read_text() == SECRET,
    "urllib": lambda folder: urllib.request.urlopen((folder / "text").as_uri()).read().decode() == SECRET,
    "runpy": lambda folder: runpy.run_path(str(folder / "script"))["known"] == SECRET,
    "a loader's data": lambda folder: (
        importlib.machinery.SourceFileLoader("text", str(folder / "text")).get_data(str(folder / "text")).decode() == SECRET
    ),
    "importlib.resources": _by_resources,
    "__pycache__": _in_compiled_folder,
    "shutil": _copied,
    "listdir": lambda folder: "text" in os.listdir(folder),
    "time.time": lambda folder: time.time() > 0,
    "time.time_ns": lambda folder: time.time_ns() > 0,
    "time.monotonic": lambda folder: time.monotonic() > 0,
    "time.perf_counter_ns": lambda folder: time.perf_counter_ns() > 0,
    "time.process_time": lambda folder: time.process_time() >= 0,
    "time.clock_gettime": lambda folder: time.clock_gettime(time.CLOCK_REALTIME) > 0,
    "time.sleep": lambda folder: time.sleep(0) is None,
    "time.localtime": lambda folder: time.localtime().tm_year > 0,
    "time.gmtime": lambda folder: time.gmtime().tm_year > 0,
    "datetime.now": lambda folder: dt.datetime.now(dt.UTC).year > 0,
    "date.today": lambda folder: dt.date.today().year > 0,  # noqa: DTZ011 - it is what is tried
    "pandas.Timestamp.now": lambda folder: pd.Timestamp.now("UTC").year > 0,
    "pandas.Timestamp.today": lambda folder: pd.Timestamp.today().year > 0,
}  # fmt: skip


def found_by(ways: dict[str, Callable[..., bool]], *given: object) -> int:
    """Return as bits which ways led out."""
    found = 0
    for bit, way in enumerate(ways.values()):
        try:
            found |= bool(way(*given)) << bit
        except Exception:
            continue
    return found


def named(found: float, ways: dict[str, Callable[..., bool]]) -> list[str]:
    """Return the names of what `found_by` found."""
    return [name for bit, name in enumerate(ways) if int(found * SCALE) >> bit & 1]


@dataclass(frozen=True)
class GoesOut(biased_strategies.Plain):
    """Tries every way at every bar, and says by its confidence which led out."""

    folder: str = ""

    def signals(self, frame: pd.DataFrame) -> Signals:
        found = found_by(WAYS, Path(self.folder)) / SCALE
        return Signals(np.zeros(len(frame)), confidence=np.full(len(frame), found))


def _is_later(item: object, last: pd.Timestamp) -> bool:
    if isinstance(item, pd.DataFrame | pd.Series):
        item = item.index
    if isinstance(item, pd.DatetimeIndex):
        return (
            len(item) > 0 and item.tz is not None and item.max() > last
        )  # of other tests there are some without a zone
    if isinstance(item, np.ndarray) and item.dtype.kind in "iM" and item.ndim == 1 and len(item):
        return bool((item.astype("i8") > last.value // 1_000).any() and item.astype("i8").min() > last.value // 2_000)
    return False


def _in_memory(frame: pd.DataFrame) -> bool:
    for item in gc.get_objects():
        with suppress(Exception):  # another test's objects may refuse to be looked at
            if _is_later(item, frame.index[-1]):
                return True
    return False


def _in_callers(frame: pd.DataFrame) -> bool:
    caller = sys._getframe()
    while caller is not None:
        if any(_is_later(item, frame.index[-1]) for item in [*caller.f_locals.values(), *caller.f_globals.values()]):
            return True
        caller = caller.f_back
    return False


def _in_pipes(frame: pd.DataFrame) -> bool:
    for number in range(1, 64):
        try:
            if os.fstat(number).st_rdev == 0 and select.select([number], [], [], 0)[0] and os.read(number, 1):
                return True
        except (OSError, ValueError):
            continue
    return False


MEMORY: dict[str, Callable[..., bool]] = {"gc": _in_memory, "sys._getframe": _in_callers, "os.read": _in_pipes}


class Searches(biased_strategies.Plain):
    """Searches its process for later bars than the newest it was given."""

    def signals(self, frame: pd.DataFrame) -> Signals:
        found = found_by(MEMORY, frame) / SCALE if len(frame) <= self.warmup + 1 else 0.0
        return Signals(np.zeros(len(frame)), confidence=np.full(len(frame), found))

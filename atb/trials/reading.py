"""Reads the ledger: the frames of every machine's files, and how much of them is broken."""

import fcntl
import os
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atb import trial_folder
from atb.domain.bars import SYNTHETIC
from atb.trials.days import Floats, expand
from atb.trials.description import digest, each_of
from atb.trials.frames import FORM, LOST, Frame, unpacked
from atb.trials.writing import ASIDE_S, SUFFIX, WRITER, lock


@dataclass(frozen=True)
class Trials:
    """Trials that were made together, read from one frame."""

    frame: Frame

    @property
    def kind(self) -> str:
        """How they were tried: `run`, `sweep`, `screen` or `explore`."""
        return str(self.frame.header["kind"])

    @property
    def at_ms(self) -> int:
        """When, epoch milliseconds."""
        return int(self.frame.header["at"])

    @property
    def period(self) -> tuple[int, int]:
        """Open of the first traded bar and close of the last, epoch milliseconds."""
        return int(self.frame.header["first"]), int(self.frame.header["end"])

    @cached_property
    def markets(self) -> frozenset[tuple[str, str, bool]]:
        """The traded markets: symbol, timeframe, and whether the bars were generated."""
        return frozenset(
            (one["symbol"], one["timeframe"], one["venue"] == SYNTHETIC) for one in self.frame.header["markets"]
        )

    def __len__(self) -> int:
        """Return the number of trials."""
        return len(self.frame.arrays["cells"])

    @property
    def sharpe(self) -> Floats:
        """Annualised Sharpe ratios (N,), by a year of 365 days; NaN where one is not defined."""
        return self.frame.arrays["sharpe"]

    @cached_property
    def keys(self) -> list[str]:
        """The identity of each trial (N,): a hash of strategy, policy, costs, account, model and markets."""
        header, (first, second) = self.frame.header, self.frame.arrays["cells"].T
        strategies = [digest(one) for one in each_of(header["strategies"])]
        policies = [digest(one) for one in each_of(header["policies"])]
        rest = digest([header["costs"], header["account"], header["models"], sorted(map(list, self.markets))])
        return [f"{strategies[a]}{policies[b]}{rest}" for a, b in zip(first.tolist(), second.tolist(), strict=True)]

    @property
    def days(self) -> NDArray[np.int64]:
        """The days (D,) of the returns, since 1970, UTC; days without a close are left out."""
        return self.frame.arrays["days"].astype(np.int64)

    @property
    def kept(self) -> NDArray[np.int64]:
        """Which of the trials (M,) have their returns kept."""
        return self.frame.arrays["kept"].astype(np.int64)

    def returns(self) -> Floats:
        """Return the returns by day (M, D) of the trials in `kept`."""
        return expand(dict(self.frame.arrays), len(self.days))

    def what(self, row: int) -> dict[str, Any]:
        """Return one trial in full: strategy, policy, costs and account as JSON types."""
        header, (first, second) = self.frame.header, self.frame.arrays["cells"][row]
        return {
            "strategy": each_of(header["strategies"])[first],
            "policy": each_of(header["policies"])[second],
            "costs": header["costs"],
            "account": header["account"],
        }


@dataclass
class Ledger:
    """All trials of a folder, oldest first by file.

    Parameters
    ----------
    frames
        As they were recorded.
    broken
        Places in the files where a frame could not be read: a process was killed, or a disk was full.
    unreadable
        Files that cannot be read, with the reason.
    lost
        Trials that were made and could not be recorded, as far as is known.
    newer
        Frames of a form that this atb does not know.
    """

    frames: list[Trials] = field(default_factory=list)
    broken: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)
    lost: int = 0
    newer: int = 0

    def faults(self) -> list[str]:
        """Return the gaps of the ledger, a sentence each."""
        found = [f"{path} cannot be read: {reason}" for path, reason in self.unreadable.items()]
        if self.broken:
            found.append(f"{self.broken:,} unfinished or changed rows were passed over")
        if self.newer:
            found.append(f"{self.newer:,} rows were written by a newer atb")
        if self.lost:
            found.append(f"{self.lost:,} trials could not be recorded when they were made")
        return found


@dataclass
class _File:
    """A file as far as it was read: it only grows, so it is read on from the end of its last whole frame."""

    trials: list[Trials] = field(default_factory=list)
    broken: int = 0  # before `end`
    end: int = 0
    tail: int = 0  # broken after `end`
    size: int = 0
    lost: int = 0  # trials
    newer: int = 0  # frames
    unlocked_until: float = 0.0  # on the monotonic clock: a stopped process keeps it locked

    def read_on(self, path: Path) -> None:
        """Read what was appended since.

        Raises
        ------
        OSError
            If it cannot be read.
        """
        with path.open("rb") as file:
            self._wait_for_writers(file.fileno())
            size = os.fstat(file.fileno()).st_size
            if size == self.size:
                return
            if size < self.size:  # another file under this name
                self.trials, self.broken, self.end, self.lost, self.newer = [], 0, 0, 0, 0
            file.seek(self.end)
            content = file.read()
        begin, broken = self.end, 0
        for frame, end in unpacked(content):
            if frame is None:
                broken += 1
                continue
            self._take(frame)
            self.broken, self.end, broken = self.broken + broken, begin + end, 0
        self.tail, self.size = broken, size

    def _wait_for_writers(self, descriptor: int) -> None:
        """Let a write that is under way end first; where the file cannot be locked, an unfinished row is passed over."""
        if time.monotonic() < self.unlocked_until:
            return
        try:
            lock(descriptor, fcntl.LOCK_SH)
        except OSError:
            self.unlocked_until = time.monotonic() + ASIDE_S

    def _take(self, frame: Frame) -> None:
        if frame.header.get("form") != FORM:
            self.newer += 1
        elif frame.header["kind"] == LOST:
            self.lost += int(frame.header["lost"])
        else:
            self.trials.append(Trials(frame))


_files: dict[Path, _File] = {}


def read_ledger(folder: Path | None = None) -> Ledger:
    """Return the ledger in a folder, by default the one that the settings name; what waits to be written there counts as lost."""
    found = Ledger(lost=WRITER.unwritten + WRITER.lost)
    root = trial_folder.mounted() if folder is None else folder
    for path in sorted(root.glob(f"*/*{SUFFIX}")):
        file = _files.setdefault(path, _File())
        try:
            file.read_on(path)
        except OSError as error:
            found.unreadable[str(path)] = error.strerror or str(error)
        found.broken += file.broken + file.tail
        found.frames += file.trials
        found.lost, found.newer = found.lost + file.lost, found.newer + file.newer
    return found

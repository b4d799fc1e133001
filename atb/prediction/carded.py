"""A fitted model in a folder: the identity that its card states, and writing it whole or not at all."""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atb.domain import Symbol, Timeframe
from atb.errors import ModelError
from atb.files import PUBLIC_FOLDER, make_public_folder, write_public


@dataclass(frozen=True)
class Carded:
    """A model's folder with its card, which was checked."""

    path: Path
    card: dict[str, Any]

    @property
    def symbol(self) -> Symbol:
        """The symbol it was fitted on, and the only one it may be used for."""
        return Symbol.parse(self.card["symbol"])

    @property
    def timeframe(self) -> Timeframe:
        """The duration of the bars it reads."""
        return Timeframe.parse(self.card["timeframe"])

    @property
    def title(self) -> str:
        """Its name in reports."""
        kind = " · SYNTHETIC data" if self.card["synthetic"] else ""
        return f"{self.card['name']} {self.card['version']} ({self.symbol} {self.timeframe}{kind})"


def write_whole(target: Path, files: Mapping[str, bytes], check: Callable[[Path], object]) -> Path:
    """Write a new folder beside its place, let `check` load it as any reader would, and rename it: it is whole or absent.

    Raises
    ------
    ModelError
        If the folder exists already, or `check` raises it.
    """
    if target.exists():
        raise ModelError("This version exists already", found=str(target))
    make_public_folder(target.parent)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=target.parent))
    try:
        for name, content in files.items():
            write_public(draft / name, content)
        check(draft)
        draft.chmod(PUBLIC_FOLDER)
        draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target

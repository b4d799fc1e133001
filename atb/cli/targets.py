"""Files that a command is to write: refused before the work where that can be known, and in one sentence where it cannot."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from atb.errors import InputError
from atb.files import cannot_be_written


class TargetFile(click.Path):
    """An option's file to write: its folder must exist and be writable, and the name must be no folder's."""

    name = "file"

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path.

        Raises
        ------
        InputError
            If no file can be written there.
        """
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        with writable(path):
            return self._checked(path)

    @staticmethod
    def _checked(path: Path) -> Path:
        if path.is_dir():
            raise InputError("This is a folder, and no file to write", found=str(path), todo="Name a file")
        if not path.resolve().parent.is_dir():
            raise InputError(
                "There is no such folder to write into", found=str(path.resolve().parent), todo="Make it first"
            )
        if not os.access(path.resolve().parent, os.W_OK | os.X_OK):
            raise InputError(
                "This folder may not be written to", found=str(path.resolve().parent), todo="Name a file elsewhere"
            )
        return path


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """Say in one sentence that a file which the user named cannot be written.

    Raises
    ------
    InputError
        For whatever the system answers: no such folder, no space, no right, a folder of that name.
    """
    try:
        yield
    except OSError as error:
        raise cannot_be_written(path, error) from None


def write_target(path: Path, content: bytes) -> None:
    """Write a file that the user named, atomically; others may read it.

    Raises
    ------
    InputError
        As `writable`.
    """
    from atb.files import write_public

    with writable(path):
        write_public(path, content)

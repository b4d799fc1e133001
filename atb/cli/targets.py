"""Files that a command is to write: refused before the work, not after it, where they cannot be written."""

import os
from pathlib import Path
from typing import Any

import click

from atb.errors import InputError


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
        if path.is_dir():
            raise InputError("This is a folder, and no file to write", found=str(value), todo="Name a file")
        if not path.resolve().parent.is_dir():
            raise InputError(
                "There is no such folder to write into", found=str(path.resolve().parent), todo="Make it first"
            )
        if not os.access(path.resolve().parent, os.W_OK | os.X_OK):
            raise InputError(
                "This folder may not be written to", found=str(path.resolve().parent), todo="Name a file elsewhere"
            )
        return path

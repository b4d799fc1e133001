"""The project's folder, which holds `.env`, `atb.toml` and, by default, the data."""

import os
import tomllib
from pathlib import Path

NAME = "atb-workbench"
PROJECT = "ATB_PROJECT"  # the project of the command that started this process


def find_project(start: Path | None = None) -> Path:
    """Return the nearest folder at or above `start` (the working directory) that is an atb project.

    A project holds an `atb.toml`, or a `pyproject.toml` whose project is `atb-workbench`. Notebooks run with their own
    folder as the working directory and must find the same data as the command line. Outside any project it is that of the command
    which started this process, as for a kernel; else the checkout that this package is installed from, so that a command typed in
    another folder finds the same runs and data; `start` itself only where atb is installed without a checkout.
    """
    here = (start or Path.cwd()).absolute()
    named = [Path(os.environ[PROJECT])] if os.environ.get(PROJECT) else []
    candidates = (here, *here.parents, *named, Path(__file__).resolve().parents[2])
    return next((folder for folder in candidates if _is_project(folder)), here)


def _is_project(folder: Path) -> bool:
    if (folder / "atb.toml").is_file():
        return True
    try:
        content = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # no such file, or not one that says whose project this is
        return False
    project = content.get("project")
    return isinstance(project, dict) and project.get("name") == NAME


def part_of(project: Path, *names: str) -> Path:
    """Return a file of atb's own (a notebook, the runner): the project's, or the one beside this package where it has none.

    A project may be a folder with an `atb.toml` and data alone; the notebooks are then those of the checkout that is installed.
    """
    own = project.joinpath(*names)
    return own if own.exists() else Path(__file__).parents[2].joinpath(*names)


def user_folder() -> Path:
    """Return the folder of this user's own configuration of atb, `~/.config/atb` unless XDG_CONFIG_HOME says otherwise."""
    chosen = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(chosen) if Path(chosen).is_absolute() else Path.home() / ".config") / "atb"

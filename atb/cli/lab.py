"""`atb lab`: JupyterLab on the notebooks, for this user on this machine only."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from atb.cli.commands import Command
from atb.errors import SetupError

SHOWN = (
    "BROWSER",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "DBUS_SESSION_BUS_ADDRESS",
)  # what opening a browser needs


@click.command(cls=Command)
@click.option("--port", default=8888, show_default=True, type=click.IntRange(0, 65535), help="0 picks a free port.")
@click.option("--browser/--no-browser", default=True, show_default=True, help="Open a browser.")
def lab(port: int, browser: bool) -> None:
    """Open JupyterLab on the notebooks.

    It listens on this machine only. Its token comes from JUPYTER_TOKEN, or is made for this call; it is never an
    argument, which other users of the machine could read. News and update checks are off. Kernels get the variables that the
    setting notebooks.environment names beside the usual ones, and never the account's keys.

    \b
    Examples:
      atb lab
      atb lab --no-browser --port 8899
    """
    import sys

    from atb.config import load_settings, part_of

    settings = load_settings()
    folder = part_of(settings.project, "notebooks")
    if not folder.is_dir():
        raise SetupError("There is no folder of notebooks", found=str(folder), todo="Call `atb lab` inside the project")
    _require_jupyter()
    from atb.environment import variables

    environment = lab_environment(variables(), settings.notebooks.environment)
    click.echo(f"JupyterLab in {folder}; the link below takes this token: {environment['JUPYTER_TOKEN']}", err=True)
    os.execve(sys.executable, lab_arguments(sys.executable, folder, port=port, browser=browser), environment)  # noqa: S606 - no shell


def _require_jupyter() -> None:
    from importlib.util import find_spec

    if find_spec("jupyterlab") is None:
        raise SetupError("JupyterLab is not installed", todo="Run `make setup`")


def lab_environment(given: Mapping[str, str], declared: Sequence[str] = ()) -> dict[str, str]:
    """Return the environment of the server, which its kernels inherit: as a run's kernel has it, and a token, made unless given."""
    import secrets

    from atb.experiments.surroundings import kernel_environment

    token = given.get("JUPYTER_TOKEN") or secrets.token_urlsafe(24)
    listed = kernel_environment(given, (*declared, *(name for name in SHOWN if name in given)))
    kept = {name: value for name, value in listed.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"JUPYTER_TOKEN": token, "DO_NOT_TRACK": "1"}


def lab_arguments(python: str, folder: Path, *, port: int, browser: bool) -> list[str]:
    """Return the command line of the server: loopback, `folder` as its root, no news, no update checks."""
    arguments = [
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        f"--ServerApp.root_dir={folder}",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    # In a container the only user is often root, whom Jupyter refuses unless told; loopback and token guard it all the same.
    as_root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    return [python, "-m", "jupyterlab", *arguments, *as_root, *([] if browser else ["--no-browser"])]

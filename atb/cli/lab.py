"""`atb lab`: JupyterLab on the notebooks, for this user on this machine only.

Its token goes through a pipe to the server, which reads it once. In an environment every kernel and terminal would inherit it, and
`/proc` would tell it; a token file would stay as readable. Jupyter itself keeps the address with the token in its runtime folder,
in a file that only its user can read.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from atb.cli.commands import Command
from atb.config.project import PROJECT
from atb.errors import InputError, SetupError

if TYPE_CHECKING:
    from atb.config import Settings

SHOWN = (
    "BROWSER",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "DBUS_SESSION_BUS_ADDRESS",
)  # what opening a browser needs
# What `python -m jupyterlab` does, but the token comes from the pipe, and only the link is printed, with the port that was free.
# A server that finds no token must not start: empty means no login.
_START = """
import os, sys
from urllib.parse import quote
from jupyter_server.auth.identity import PasswordIdentityProvider
from jupyterlab.labapp import LabApp
from traitlets import default
with os.fdopen(int(os.environ.pop({pipe!r}))) as pipe:
    token = pipe.read()
if not token:
    sys.exit("atb: no token came through the pipe")
class FromPipe(PasswordIdentityProvider):
    @default("token")
    def _token_default(self):
        return token
sys.argv[0] = "jupyter-lab"
server = LabApp.initialize_server(argv=[*sys.argv[1:], "--ServerApp.identity_provider_class=__main__.FromPipe"])
page = server.extension_manager.extension_apps["jupyterlab"].pop().default_url
print("JupyterLab: http://127.0.0.1:" + str(server.port) + page + "?token=" + quote(token, safe=""), flush=True)
server.start()
"""
LAUNCHER = Path(__file__).resolve().parents[1] / "workbench" / "lab"  # a card for each notebook
# dash brings an extension of the old kind, for which Lab would ask to be built anew, over the page.
NO_BUILD = {"page_config_data": {"buildCheck": False, "buildAvailable": False}}
CONFIG = LAUNCHER.with_name("lab_config")  # defaults of Lab's own settings: it asks about no news
TOUR = "00_tour.ipynb"  # opened first, where the folder has it
LONGEST_TOKEN = 1_000  # characters: a pipe holds 4,096 bytes at least
PIPE = "ATB_TOKEN_PIPE"  # the number of a descriptor: no secret itself


@click.command(cls=Command)
@click.option("--port", default=8888, show_default=True, type=click.IntRange(0, 65535), help="0 picks a free port.")
@click.option("--browser/--no-browser", default=True, show_default=True, help="Open a browser.")
@click.option("--strategies", "own", is_flag=True, help="Open the folder of your own strategies instead.")
def lab(port: int, browser: bool, own: bool) -> None:
    """Open JupyterLab on the notebooks, or on the folder of your own strategies and their notebooks.

    It listens on this machine only. Its token comes from JUPYTER_TOKEN, or is made for this call; it is neither an
    argument nor a variable of the server, which others could read. News and update checks are off. Kernels get the variables
    that the setting notebooks.environment names beside the usual ones, and never the account's keys.

    \b
    Examples:
      atb lab
      atb lab --no-browser --port 8899
      atb lab --strategies
    """
    import sys

    from atb.config import load_settings, part_of

    settings = load_settings()
    folder = part_of(settings.project, "notebooks")
    if own:
        from atb.files import make_public_folder

        folder = settings.strategies_root
        make_public_folder(folder)
    if not folder.is_dir():
        raise SetupError("There is no folder of notebooks", found=str(folder), todo="Call `atb lab` inside the project")
    _require_jupyter()
    from atb.environment import variables

    given = variables()
    token = lab_token(given)
    environment = lab_environment(given, settings.notebooks.environment) | project_environment(settings)
    environment[PIPE] = str(_pipe_with(token))
    workspaces = _workspaces(settings, folder)
    click.echo(f"Starting JupyterLab in {folder}; Ctrl-C ends it", err=True)
    arguments = lab_arguments(sys.executable, folder, workspaces=workspaces, port=port, browser=browser)
    os.execve(sys.executable, arguments, environment)  # noqa: S606 - no shell


def _workspaces(settings: "Settings", folder: Path) -> Path:
    """Return the folder of Lab's workspaces for this folder of notebooks, with the first workspace in it where it has the tour."""
    from atb.workbench.lab_workspace import keep_workspace

    workspaces = settings.data.root.resolve() / "lab" / folder.name
    try:
        if (folder / TOUR).is_file():
            keep_workspace(workspaces, TOUR)
    except OSError as error:
        raise SetupError(
            "The workspace of JupyterLab cannot be written", found=f"{workspaces}: {error.strerror or error}",
            todo="Make the folder writable, or choose another by ATB__DATA__ROOT",
        ) from error  # fmt: skip
    return workspaces


def _require_jupyter() -> None:
    from importlib.util import find_spec

    if find_spec("jupyterlab") is None:
        raise SetupError("JupyterLab is not installed", todo="Run `make setup`")


def lab_token(given: Mapping[str, str]) -> str:
    """Return the token of the server: the given JUPYTER_TOKEN, else a new one."""
    import secrets

    return given.get("JUPYTER_TOKEN") or secrets.token_urlsafe(24)


def _pipe_with(token: str) -> int:
    """Return the reading end of a pipe that holds the token, open across the start of the server.

    Raises
    ------
    InputError
        If the token is longer than any pipe holds.
    """
    if len(token) > LONGEST_TOKEN:
        raise InputError(f"JUPYTER_TOKEN is longer than {LONGEST_TOKEN:,} characters", found=f"{len(token):,}")
    read, write = os.pipe()
    with os.fdopen(write, "wb") as pipe:
        pipe.write(token.encode())
    os.set_inheritable(read, True)
    return read


def lab_environment(given: Mapping[str, str], declared: Sequence[str] = ()) -> dict[str, str]:
    """Return the environment of the server, which its kernels inherit: as a run's kernel has it, and never with the token."""
    from atb.experiments.surroundings import kernel_environment

    listed = kernel_environment(given, (*declared, *(name for name in SHOWN if name in given)))
    left_out = {"PYTHONDONTWRITEBYTECODE", "JUPYTER_TOKEN", "JUPYTER_TOKEN_FILE"}
    return {name: value for name, value in listed.items() if name not in left_out} | {"DO_NOT_TRACK": "1"}


def project_environment(settings: "Settings") -> dict[str, str]:
    """Return the variables by which every kernel finds this project and this environment, wherever its notebook is."""
    return {
        PROJECT: str(settings.project.resolve()),
        "ATB__DATA__ROOT": str(settings.data.root.resolve()),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "JUPYTER_CONFIG_PATH": os.pathsep.join([*filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")]), str(CONFIG)]),
    }


def lab_arguments(python: str, folder: Path, *, workspaces: Path, port: int, browser: bool) -> list[str]:
    """Return the command line of the server: loopback, `folder` as its root, opened on its tour, no news, no update checks."""
    arguments = [
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        f"--ServerApp.root_dir={folder}",
        "--Application.log_level=WARN",
        *([f"--LabApp.default_url=/lab/tree/{TOUR}"] if (folder / TOUR).is_file() else []),
        f"--LabApp.workspaces_dir={workspaces}",
        f"--LabApp.extra_labextensions_path={LAUNCHER}",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        f"--ServerApp.tornado_settings={NO_BUILD}",
    ]
    # In a container the only user is often root, whom Jupyter refuses without this flag; loopback and token protect it.
    as_root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    return [python, "-c", _START.format(pipe=PIPE), *arguments, *as_root, *([] if browser else ["--no-browser"])]

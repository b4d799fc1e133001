"""The workspace that `atb lab` opens: the tour beside the list of notebooks, until you arrange it otherwise.

JupyterLab keeps the arrangement of a page (open notebooks, side bars) in a file, by paths below its root. So each folder that is
opened has its workspaces below the data folder, apart from those of other projects and from your own in Jupyter's configuration.
The first start writes the one below; from then on the file is what you left, and is never written again here.
"""

import json
from pathlib import Path
from typing import Any

from atb.files import make_private_folder, write_private

FILE = "default-37a8.jupyterlab-workspace"  # as JupyterLab names the file of its default workspace
LEFT = ["filebrowser", "running-sessions", "@jupyterlab/toc:plugin", "extensionmanager.main-view"]
RIGHT = ["jp-property-inspector", "debugger-sidebar"]
SIZES = [0.17, 0.83, 0]  # of left, main and right area


def first_workspace(notebook: str) -> dict[str, Any]:
    """Return the workspace with one notebook open, the files at the left, and the right side folded."""
    opened = f"notebook:{notebook}"
    layout = {
        "main": {"dock": {"type": "tab-area", "currentIndex": 0, "widgets": [opened]}, "current": opened},
        "down": {"size": 0, "widgets": []},
        "left": {"collapsed": False, "visible": True, "current": "filebrowser", "widgets": LEFT},
        "right": {"collapsed": True, "visible": True, "widgets": RIGHT},
        "relativeSizes": SIZES,
        "top": {"simpleVisibility": True},
    }
    return {
        "data": {"layout-restorer:data": layout, opened: {"data": {"path": notebook, "factory": "Notebook"}}},
        "metadata": {"id": "default"},
    }


def keep_workspace(folder: Path, notebook: str) -> bool:
    """Write the first workspace, unless the folder has one; return whether it was written.

    Parameters
    ----------
    folder
        Where JupyterLab keeps the workspaces; made if it is not there.
    notebook
        The notebook to open, as a path below Lab's root.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    make_private_folder(folder)
    if (folder / FILE).exists():
        return False
    write_private(folder / FILE, json.dumps(first_workspace(notebook)).encode())
    return True

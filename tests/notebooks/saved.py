"""The notebooks that are committed with their outputs, which nbval compares strictly: text and tables of the seeded market.

.venv/bin/python -m tests.notebooks.saved            runs them anew and saves what came out
.venv/bin/python -m tests.notebooks.saved 00_tour    one of them

Figures are not kept, nor what is published: they hold numbers to the last digit, which may differ from processor to processor.
Their cells have nbval's own tag, and every other output is rounded. What differs by checkout, such as the kernel's hash, is in
`sanitise.cfg`. All other notebooks are committed without outputs.
"""

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from tests.conftest import REPOSITORY

FOLDER = REPOSITORY / "notebooks"
SAVED = ("00_tour.ipynb", "01_data.ipynb", "06_screen.ipynb")
IGNORED = "nbval-ignore-output"
SANITISED = Path(__file__).with_name("sanitise.cfg")
LARGEST = 100_000  # bytes of a saved notebook
NOT_KEPT = ("application/vnd.plotly.v1+json", "application/vnd.atb.result+json")


def save(name: str) -> None:
    """Run a notebook in an empty data root, and write it with its outputs."""
    node = nbformat.read(FOLDER / name, as_version=4)
    with tempfile.TemporaryDirectory(prefix="atb-saved-") as root:
        environment = {**os.environ, "ATB__DATA__ROOT": root, "PLOTLY_RENDERER": "plotly_mimetype"}
        NotebookClient(node, kernel_name="python3", timeout=None).execute(cwd=str(FOLDER), env=environment)
    for cell in node.cells:
        cell.metadata = {key: value for key, value in cell.metadata.items() if key == "tags"}
        if cell.cell_type == "code" and any(
            kind in output.get("data", {}) for output in cell.outputs for kind in NOT_KEPT
        ):
            cell.outputs = []
            cell.metadata["tags"] = [*dict.fromkeys([*cell.metadata.get("tags", []), IGNORED])]
    node.metadata.pop("widgets", None)
    nbformat.write(node, FOLDER / name)


if __name__ == "__main__":
    for chosen in sys.argv[1:] or SAVED:
        save(f"{chosen.removesuffix('.ipynb')}.ipynb")

"""Small real notebooks, and settings under a test's own folder."""

from pathlib import Path

import nbformat

from atb.config import Settings
from atb.config.settings import DatabaseSettings, DataSettings, ExchangeSettings, NotebookSettings

PARAMETERS = """
symbol: str = "BTC/USDT"  # market
window: int = 20  # bars
"""


def notebook(path: Path, *cells: str, parameters: str | None = PARAMETERS) -> Path:
    """Write a notebook with a title, a parameters cell and the given code cells, and return its path."""
    node = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    node.cells.append(nbformat.v4.new_markdown_cell("# A small notebook"))
    if parameters is not None:
        node.cells.append(nbformat.v4.new_code_cell(parameters.strip(), metadata={"tags": ["parameters"]}))
    node.cells += [nbformat.v4.new_code_cell(cell) for cell in cells]
    nbformat.write(node, path)
    return path


def settings_in(folder: Path, *, declared: tuple[str, ...] = (), **exchange: str) -> Settings:
    """Return settings that write below `folder` and nowhere else; kernels get the variables that are `declared`."""
    return Settings(
        data=DataSettings(root=folder / "data"),
        database=DatabaseSettings(url=f"sqlite:///{folder}/data/atb.db"),
        exchange=ExchangeSettings(**exchange),
        notebooks=NotebookSettings(environment=declared),
    )

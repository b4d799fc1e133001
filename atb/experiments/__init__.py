"""Experiments: notebooks executed with checked parameters, and the registry that remembers every run."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atb.experiments.execution import RunInterrupted, execute
    from atb.experiments.parameters import read_parameters, validate_parameters
    from atb.experiments.publication import publish, published
    from atb.experiments.registry import get_run, list_runs

TRAINING, BACKTEST = "02_train.ipynb", "03_backtest.ipynb"  # the notebooks that commands run

_HOMES = {
    "RunInterrupted": "execution",
    "execute": "execution",
    "get_run": "registry",
    "list_runs": "registry",
    "publish": "publication",
    "published": "publication",
    "read_parameters": "parameters",
    "validate_parameters": "parameters",
}

__all__ = [
    "RunInterrupted",
    "execute",
    "get_run",
    "list_runs",
    "publish",
    "published",
    "read_parameters",
    "validate_parameters",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for: a notebook that publishes needs no database driver."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names, loaded or not: what a notebook completes to."""
    return sorted(__all__)

"""atb: a crypto-trading research workbench whose live runner trades exactly what was tested.

Importing this package loads nothing heavy: start-up time is a feature of the command line and the runner. Its modules run from
their sources alone, see `atb.sources`.
"""

from typing import Any

from atb.sources import install

__version__ = "0.1.0"
install()
del install

# With public names of their own: what a notebook completes `atb.` to.
_PUBLIC = (
    "backtest",
    "config",
    "data",
    "db",
    "domain",
    "errors",
    "experiments",
    "monitoring",
    "reports",
    "strategies",
    "trials",
    "workbench",
)
_PACKAGES = (*_PUBLIC, "engine", "features", "live", "prediction", "promotion", "validation", "venues")


def __getattr__(name: str) -> Any:
    """Import a package when it is asked for, so that after `import atb` a notebook may go on with `atb.workbench`."""
    if name not in _PACKAGES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return importlib.import_module(f"{__name__}.{name}")


def load_ipython_extension(shell: Any) -> None:
    """Add the magics to a notebook: `%load_ext atb`."""
    import importlib

    importlib.import_module(f"{__name__}.workbench.magics").load_magics(shell)
    importlib.import_module(f"{__name__}.cli.magic").load_magic(shell)


def __dir__() -> list[str]:
    """Return the packages with public names, whether they are loaded or not."""
    return sorted([*_PUBLIC, "__version__"])

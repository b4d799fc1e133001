"""The folder of your own strategies as a list: which files can be loaded, and what is wrong with each of the others.

Loading a file runs it. One that works for long, or for ever, as it is loaded is given up after some seconds and named, so that the
list of all others is not kept waiting.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from atb.errors import AtbError, InputError
from atb.threads import Call

if TYPE_CHECKING:
    import pandas as pd

    from atb.config import Settings
    from atb.domain import Strategy

PATIENCE_S = 10.0  # for one file: loading pandas takes one second on a slow machine


@dataclass(frozen=True)
class OwnStrategy:
    """A file of the folder: the class that it defines, or else the fault that keeps it from being used."""

    name: str
    path: Path
    kind: "type[Strategy] | None" = None
    fault: str = ""


def own_strategies(settings: "Settings", *, patience_s: float = PATIENCE_S) -> list[OwnStrategy]:
    """Return every file of the folder by its name, loaded, or with what is wrong with it.

    Parameters
    ----------
    patience_s
        Seconds after which the loading of a file is given up.
    """
    from atb.config.own import OwnStrategies, mount_folder
    from atb.strategies import STRATEGIES

    mount_folder(settings)
    folder = OwnStrategies(str(settings.strategies_root))
    found = [
        OwnStrategy(
            name, Path(folder.path) / name, fault="a strategy's file is named by a-z, 0-9 and _, such as rsi.py"
        )
        for name in folder.misnamed()
    ]
    for name in folder.names():
        path = Path(folder.path) / f"{name}.py"
        if name in STRATEGIES:
            found.append(
                OwnStrategy(name, path, fault=f"{name} is the name of a built-in strategy: rename file and class")
            )
        else:
            found.append(_loaded(name, path, patience_s))
    return sorted(found, key=lambda one: one.name)


def check_own(name: str, settings: "Settings", *, patience_s: float = PATIENCE_S) -> None:
    """Refuse a strategy of the folder whose file cannot be loaded, or not within `patience_s` seconds.

    Raises
    ------
    InputError
        With the file and what is wrong with it.
    """
    found = _loaded(name, settings.strategies_root / f"{name}.py", patience_s)
    if found.fault:
        shown = None if str(found.path) in found.fault else str(found.path)
        raise InputError(f"The strategy {name} cannot be used: {found.fault}", found=shown)


def ensure_strategy(name: str, **rules: str) -> str:
    """Write a strategy of rules if there is none of this name; return a sentence on the file.

    Parameters
    ----------
    rules
        Texts by `entry`, `exit`, `short_entry` and `short_exit`.

    Raises
    ------
    InputError
        If the name is none or a built-in strategy's, or a text is no rule.
    """
    from atb.config import load_settings
    from atb.workbench.scaffold import new_strategy

    settings = load_settings()
    path = settings.strategies_root / f"{name}.py"
    if path.exists():
        check_own(name, settings)
        return f"{path} is there already and is used as it is."
    return f"Written: {new_strategy(name, settings, rules=rules).source}"


def strategy_checks(name: str) -> "pd.DataFrame":
    """Return the checks of `atb test-strategy`, one a row: `status` (ok, error, skipped) and `found`."""
    import pandas as pd

    from atb.validation.apart import checks_apart
    from atb.validation.contract import checks_of

    checks = checks_apart(lambda: iter(checks_of(name)))
    rows = [{"check": check.name, "status": check.status, "found": check.found} for check in checks]
    return pd.DataFrame(rows).set_index("check")


def _loaded(name: str, path: Path, patience_s: float) -> OwnStrategy:
    from atb.strategies import strategy_class

    call = Call(lambda: strategy_class(name), f"load {name}")
    if not call.wait(patience_s):
        todo = "move its work into features and signals, which are called when they are needed"
        return OwnStrategy(name, path, fault=f"it did not load within {patience_s:g} s: {todo}")
    try:
        return OwnStrategy(name, path, call.result())
    except AtbError as error:
        return OwnStrategy(name, path, fault=str(error))

"""The folders of your own strategies and of your trials, as the settings name them; which strategy files changed since loaded."""

import functools
import keyword
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from atb import sources, strategy_folder, trial_folder
from atb.config.load import load_settings

if TYPE_CHECKING:
    from atb.config.settings import Settings

_PACKAGE = "atb.strategies.own."
_LONGEST_NAME = 64  # characters
_ASIDE = ("_", "test_", "conftest")  # shared code and tests


@dataclass(frozen=True, slots=True)
class OwnStrategies:
    """The files of a folder; see `atb.strategy_folder.StrategyFolder`."""

    path: str

    def names(self) -> list[str]:
        """Return the names of the files that are strategies; files whose names cannot be a module's are left to `misnamed`."""
        return [name for name in self._stems() if is_strategy_name(name)]

    def misnamed(self) -> list[str]:
        """Return the files whose names cannot be a strategy's."""
        return [f"{name}.py" for name in self._stems() if not is_strategy_name(name)]

    def is_stale(self) -> bool:
        """Return True if a loaded module differs from its file, or lies in another folder."""
        if sources.is_sealed():  # a sealed process runs the bytes that it verified
            return False
        loaded = {name: module.__file__ for name, module in list(sys.modules.items()) if name.startswith(_PACKAGE)}
        executed = sources.executed()
        return any(
            not file.startswith(f"{self.path}{os.sep}") or executed.get(os.path.realpath(file)) != _content(file)
            for file in loaded.values()
            if file is not None
        )

    def _stems(self) -> list[str]:
        try:
            files = sorted(Path(self.path).glob("*.py"))
        except OSError:
            return []
        return [file.stem for file in files if not file.name.startswith(_ASIDE) and file.is_file()]


def is_strategy_name(name: str) -> bool:
    """Return True if a file of this name can be a strategy: small letters, digits and _, no keyword, no test, not too long."""
    plain = (
        len(name) <= _LONGEST_NAME
        and name.isidentifier()
        and name.isascii()
        and name == name.lower()
        and not keyword.iskeyword(name)
    )
    return plain and not f"{name}.py".startswith(_ASIDE)


def _content(file: str) -> bytes | None:
    try:
        return Path(file).read_bytes()
    except OSError:
        return None


def folder_of_settings() -> OwnStrategies:
    """Return the folder that the settings of this process name now."""
    return OwnStrategies(str(load_settings().strategies_root))


def mount_settings() -> None:
    """Look strategies up, and record trials, in the folders that the settings of this process name at the time."""
    strategy_folder.mount(folder_of_settings)
    trial_folder.mount(_trials_of_settings)


def _trials_of_settings() -> Path:
    return _trials_root(os.environ.get("ATB__DATA__ROOT"), os.getcwd())  # noqa: PTH109 - a key, asked for at every trial


@functools.lru_cache(maxsize=8)
def _trials_root(_root: str | None, _here: str) -> Path:
    """Read the settings once for a root and a working directory: a trial must not cost the reading of files."""
    return load_settings().trials_root


def mount_folder(settings: "Settings") -> None:
    """Look strategies up in the folder of these settings from now on."""
    found = OwnStrategies(str(settings.strategies_root))
    strategy_folder.mount(lambda: found)
    trial_folder.mount(lambda: settings.trials_root)

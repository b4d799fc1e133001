"""The four sources of settings: each one read, flattened to `section.name` keys, and searched for unknown keys."""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

from atb.config.masking import MASK
from atb.config.settings import Settings, setting_keys
from atb.errors import ConfigError, did_you_mean

Found = dict[str, tuple[str, Any]]  # key -> (its name in the source, value)
PREFIX = "ATB__"


def variable_name(key: str) -> str:
    """Return the environment variable of a setting: `data.root` is `ATB__DATA__ROOT`."""
    return PREFIX + key.upper().replace(".", "__")


def from_arguments(overrides: Mapping[str, Any]) -> Found:
    """Read explicit values, given as nested mappings or with a double underscore (`data__root`)."""
    flat = dict(_flatten({name.replace("__", "."): value for name, value in overrides.items()}))
    return {key: (key, flat[key]) for key in _known(flat, "the arguments") if flat[key] is not None}


def from_environment() -> Found:
    """Read `ATB__SECTION__KEY` variables.

    Raises
    ------
    ConfigError
        If a variable has the prefix and names no setting, or would if its underscores were doubled.
    """
    names = _variables(os.environ, "the environment")
    _refuse_single_underscores(os.environ)
    values = dict(_flatten(EnvSettingsSource(Settings)()))
    return {key: (names[key], value) for key, value in values.items() if key in names}


def from_dotenv(path: Path) -> Found:
    """Read `ATB__SECTION__KEY=value` lines of a .env file; other programs' lines are theirs.

    Raises
    ------
    ConfigError
        If a line is not `NAME=value`, or a name has the prefix and is no setting.
    """
    if not path.is_file():
        return {}
    _refuse_broken_lines(path)
    source = DotEnvSettingsSource(Settings, env_file=path, env_file_encoding="utf-8")
    names = _variables(source.env_vars, ".env")
    # Asking the source itself would also return other programs' variables: the file alone is read.
    return {key: (names[key], value) for key in names if (value := source.env_vars[names[key].lower()]) is not None}


def from_toml(path: Path) -> Found:
    """Read a TOML file of `[section]` tables.

    Raises
    ------
    ConfigError
        If the file is not TOML, or a key is no setting.
    """
    if not path.is_file():
        return {}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"atb.toml is not valid TOML: {error}", todo=f"Correct {path}") from None
    except OSError as error:
        raise ConfigError(f"atb.toml cannot be read: {error.strerror}", todo=f"Check {path}") from None
    flat = dict(_flatten(content))
    return {key: (key, flat[key]) for key in _known(flat, "atb.toml")}


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and (value or key not in _sections()):
            yield from _flatten(value, f"{key}.") if value else [(key, value)]
        elif not isinstance(value, Mapping):
            yield key, value


def _sections() -> set[str]:
    return {key.partition(".")[0] for key in setting_keys() if "." in key}


def _known(flat: Mapping[str, Any], where: str) -> list[str]:
    for key in flat:
        if key in _sections():
            raise ConfigError(f"{key} in {where} is a section, not a value", todo=f"Write it as a table: [{key}]")
        if key not in setting_keys():
            raise ConfigError(f"Unknown setting in {where}", found=key, todo=did_you_mean(key, setting_keys()))
    return list(flat)


def _variables(given: Mapping[str, str | None], where: str) -> dict[str, str]:
    """Return the variable of each setting among `given`, which has names in any case."""
    known = {variable_name(key): key for key in setting_keys()}
    names = {}
    for name, value in given.items():
        if not name.upper().startswith(PREFIX):
            continue
        if name.upper() not in known:
            raise ConfigError(f"Unknown setting in {where}", found=name.upper(), todo=did_you_mean(name.upper(), known))
        if value:  # an empty variable is how container platforms spell "not set"
            names[known[name.upper()]] = name.upper()
    return names


def _refuse_single_underscores(given: Mapping[str, str]) -> None:
    """Refuse `ATB_DATA_ROOT`, which means to be a setting and would be ignored."""
    meant = {re.sub("_+", "_", variable_name(key)): variable_name(key) for key in setting_keys()}
    for name in given:
        right = meant.get(re.sub("_+", "_", name.upper()))
        if right is not None and name.upper() != right:
            raise ConfigError("Unknown setting in the environment", found=name, todo=f"Did you mean {right!r}?")


def _refuse_broken_lines(path: Path) -> None:
    from dotenv.parser import parse_stream

    try:
        with path.open(encoding="utf-8-sig") as stream:
            broken = [line for line in parse_stream(stream) if line.error or (line.key and line.value is None)]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f".env cannot be read: {error}", todo=f"Check {path}") from None
    if broken:
        name = re.split(r"[=\s]", broken[0].original.string.strip(), maxsplit=1)[0]
        raise ConfigError(
            f"Line {broken[0].original.line} of .env is not NAME=value", found=f"{name} {MASK}", todo=f"Correct {path}"
        )

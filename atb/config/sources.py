"""The four sources of settings: each one read, flattened to `section.name` keys, and searched for unknown keys."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

from atb.config.settings import ADDRESS_KEYS, SECRET_KEYS, Settings, setting_keys
from atb.environment import PREFIX, variables
from atb.errors import ConfigError, did_you_mean
from atb.files import exposure
from atb.redaction import MASK

Found = dict[str, tuple[str, Any]]  # key -> (its name in the source, value)
FILE = "_FILE"  # after the variable of a secret or an address: the file that holds it
LONGEST_SECRET = 65_536  # bytes


def variable_name(key: str) -> str:
    """Return the environment variable of a setting: `data.root` is `ATB__DATA__ROOT`."""
    return PREFIX + key.upper().replace(".", "__")


def from_arguments(overrides: Mapping[str, Any]) -> Found:
    """Read explicit values, given as nested mappings or with a double underscore (`data__root`)."""
    flat = dict(_flatten({name.replace("__", "."): value for name, value in overrides.items()}))
    return {key: (key, flat[key]) for key in _known(flat, "the arguments") if flat[key] is not None}


def from_environment(project: Path | None = None) -> Found:
    """Read `ATB__SECTION__KEY` variables, and for secrets and addresses the files that `ATB__SECTION__KEY_FILE` names.

    Raises
    ------
    ConfigError
        If a variable has the prefix and names no setting, or would if its underscores were doubled; if a file cannot be read, or
        others can.
    """
    given = variables()
    names = _variables(given, "the environment")
    _refuse_single_underscores(given)
    source = EnvSettingsSource(Settings)
    source.env_vars = {name.lower(): value for name, value in given.items() if value}
    values = dict(_flatten(source()))
    read = {key: (names[key], value) for key, value in values.items() if key in names}
    return read | _from_files(given, names, base=project or Path.cwd())


def _from_files(given: Mapping[str, str | None], names: Mapping[str, str], *, base: Path) -> Found:
    """Read the secrets that stand in files of their own, as containers and password stores hand them over."""
    found: Found = {}
    for key in sorted(SECRET_KEYS | ADDRESS_KEYS):
        variable = variable_name(key) + FILE
        path = next((value for name, value in given.items() if name.upper() == variable and value), None)
        if path is None:
            continue
        if key in names:
            raise ConfigError(f"{key} is given twice", found=f"{names[key]} and {variable}", todo="Keep the file")
        found[key] = (variable, _secret_in(base / Path(path).expanduser(), variable))
    return found


def _secret_in(path: Path, variable: str) -> str:
    """Return the text of a private file without the line's end."""
    if fault := exposure(path):
        raise ConfigError(f"The file that {variable} names {fault[0]}", found=str(path), todo=fault[1])
    try:
        with path.open("rb") as file:
            content = file.read(LONGEST_SECRET + 1)
        text = content.decode().strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"The file that {variable} names cannot be read ({reason})", found=str(path)) from None
    if not text or len(content) > LONGEST_SECRET:
        raise ConfigError(f"The file that {variable} names is empty or too large", found=str(path))
    return text


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
    read = {key: (names[key], value) for key in names if (value := source.env_vars[names[key].lower()]) is not None}
    return read | _from_files(source.env_vars, names, base=path.parent)


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
        if not name.upper().startswith(PREFIX) or name.upper() in _FILES:
            continue
        if name.upper() not in known:
            raise ConfigError(f"Unknown setting in {where}", found=name.upper(), todo=did_you_mean(name.upper(), known))
        if value:  # an empty variable is how container platforms spell "not set"
            names[known[name.upper()]] = name.upper()
    return names


_FILES = frozenset(variable_name(key) + FILE for key in SECRET_KEYS | ADDRESS_KEYS)


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

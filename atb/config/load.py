"""Reads settings from arguments, environment, .env and atb.toml, in that order, and remembers where each came from."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pydantic import SecretStr, ValidationError

from atb.config.project import find_project
from atb.config.settings import DATA_FOLDER, Settings, setting_keys, shown
from atb.config.sources import Found, from_arguments, from_dotenv, from_environment, from_toml
from atb.decimals import counted
from atb.errors import ConfigError

Kind = Literal["argument", "environment variable", ".env", "atb.toml", "default"]
_SQLITE = "sqlite:///"


@dataclass(frozen=True, slots=True)
class SettingsSource:
    """Where a value came from: the kind of source, and the name the value has there."""

    kind: Kind
    name: str = ""

    def __str__(self) -> str:
        """Return a phrase such as `environment variable ATB__DATA__ROOT`."""
        return f"{self.kind} {self.name}" if self.kind == "environment variable" else self.kind


@dataclass(frozen=True)
class LoadedSettings:
    """Settings together with the source of each key."""

    settings: Settings
    sources: Mapping[str, SettingsSource] = field(default_factory=dict)

    def rows(self) -> list[dict[str, object]]:
        """Return key, value and source of every setting, as they may be shown: secrets and passwords are masked."""
        return [
            {"key": key, "value": shown(key, _plain(_lookup(self.settings, key))), "source": str(self.sources[key])}
            for key in setting_keys()
        ]


def load_settings(**overrides: Any) -> Settings:
    """Return the settings of this process.

    Parameters
    ----------
    overrides
        Explicit values, which win over every other source: `data={"root": path}`, `data__root=path` or `seed=1`.

    Raises
    ------
    ConfigError
        If a source holds an unknown key, a value of the wrong type, or cannot be read.
    """
    return load_with_sources(**overrides).settings


def load_with_sources(**overrides: Any) -> LoadedSettings:
    """Return the settings and where each came from; arguments and errors are those of `load_settings`."""
    project = find_project()
    layers: list[tuple[Kind, Found]] = [
        ("argument", from_arguments(overrides)),
        ("environment variable", from_environment(project)),
        (".env", from_dotenv(project / ".env")),
        ("atb.toml", from_toml(project / "atb.toml")),
    ]
    values: dict[str, Any] = {}
    sources = {key: SettingsSource("default") for key in setting_keys()}
    for kind, found in reversed(layers):
        for key, (name, value) in found.items():
            values[key], sources[key] = value, SettingsSource(kind, name)
    _resolve_paths(values, sources, project)
    try:
        settings = Settings(**_nest(values), project=project)
    except ValidationError as error:
        raise _mistyped(error, values, sources) from None
    return LoadedSettings(settings, sources)


def _resolve_paths(values: dict[str, Any], sources: Mapping[str, SettingsSource], project: Path) -> None:
    """Make the root and an SQLite file absolute, and place the default database under the root.

    A root given as an argument is relative to where the user stands, any other path to the project: a notebook and a
    command line with the same environment must meet in the same folder.
    """
    root = values.setdefault("data.root", DATA_FOLDER)
    if isinstance(root, str | Path):
        base = Path.cwd() if sources["data.root"].kind == "argument" else project
        values["data.root"] = root = Path(os.path.normpath(base / Path(root).expanduser()))
        values.setdefault("database.url", f"{_SQLITE}{root}/atb.db")
    url = values.get("database.url")
    if isinstance(url, str) and url.startswith(_SQLITE) and url.removeprefix(_SQLITE)[:1] not in {"", ":", "/", "~"}:
        values["database.url"] = f"{_SQLITE}{project / url.removeprefix(_SQLITE)}"
    for key in ("exchange.ca_file", "live.trust_root", "strategies.folder"):
        if isinstance(path := values.get(key), str | Path):
            values[key] = Path(os.path.normpath(project / Path(path).expanduser()))


def _nest(values: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in values.items():
        section, _, name = key.rpartition(".")
        (nested.setdefault(section, {}) if section else nested)[name] = value
    return nested


def _lookup(settings: Settings, key: str) -> object:
    section, _, name = key.rpartition(".")
    return getattr(getattr(settings, section) if section else settings, name)


def _plain(value: object) -> object:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value) if isinstance(value, Path | Decimal) else value


def _mistyped(error: ValidationError, values: Mapping[str, Any], sources: Mapping[str, SettingsSource]) -> ConfigError:
    """Turn pydantic's findings into one refusal that names key, source, value and what is expected."""
    findings = []
    for problem in error.errors(include_url=False, include_input=False):
        key = ".".join(str(part) for part in problem["loc"] if str(part) in _PARTS)
        expected = problem["msg"].removeprefix("Value error, ")
        value = shown(key, _plain(values.get(key)))
        findings.append((key, sources[key], value, expected[:1].lower() + expected[1:]))
    if len(findings) == 1:
        key, source, value, expected = findings[0]
        return ConfigError(f"{key} from {source} is not valid", found=value, todo=f"Expected: {expected}")
    lines = [
        f"  {key} from {source}; found {value!r}. Expected: {expected}" for key, source, value, expected in findings
    ]
    return ConfigError("\n".join([f"{counted(len(findings), 'setting is', 'settings are')} not valid:", *lines]))


_PARTS = frozenset(part for key in setting_keys() for part in key.split("."))

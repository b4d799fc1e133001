"""Typed settings, read once at the edge of the program: where everything is written, and what it talks to."""

from atb.config.load import LoadedSettings, SettingsSource, load_settings, load_with_sources
from atb.config.own import mount_settings
from atb.config.project import find_project, part_of
from atb.config.settings import Settings, settings_schema

__all__ = [
    "LoadedSettings",
    "Settings",
    "SettingsSource",
    "find_project",
    "load_settings",
    "load_with_sources",
    "part_of",
    "settings_schema",
]

mount_settings()


def __dir__() -> list[str]:
    """Return the public names, loaded or not: what a notebook completes to."""
    return sorted(__all__)

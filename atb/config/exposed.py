"""Files with secrets that other users can read or change: the project's `.env` and `atb.toml`, and any others that are named."""

from pathlib import Path
from typing import NamedTuple

from atb.config.settings import SECRET_KEYS, Settings
from atb.config.sources import from_toml
from atb.errors import ConfigError
from atb.files import exposure
from atb.redaction.addresses import url_passwords


class Exposed(NamedTuple):
    """A file that is not safe: why, and the command that mends it."""

    path: Path
    fault: str
    todo: str


def exposed_files(settings: Settings) -> list[Exposed]:
    """Return the project's `.env` and `atb.toml` where they are exposed, the latter only if it holds a secret."""
    env, toml = settings.project / ".env", settings.project / "atb.toml"
    return exposed([env, *([toml] if _holds_secret(toml) else [])])


def exposed(paths: list[Path]) -> list[Exposed]:
    """Return those of some files that others can read or change, that are links, or that belong to another user."""
    return [Exposed(path, *fault) for path in paths if (fault := exposure(path)) is not None]


def _holds_secret(path: Path) -> bool:
    try:
        found = from_toml(path)
    except ConfigError:
        return False
    return any(key in SECRET_KEYS or url_passwords(str(value)) for key, (_, value) in found.items())

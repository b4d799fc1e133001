"""The settings: sections of typed, frozen values, the paths derived from them, and which of them are secret."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic.json_schema import SkipJsonSchema
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from atb import trial_folder
from atb.config.project import user_folder
from atb.config.trading import ExchangeSettings, LiveSettings, Section
from atb.redaction import MASK
from atb.redaction.addresses import mask_url, url_passwords

DATA_FOLDER = "data"
_DRIVERS = {"postgres": "postgresql+psycopg2", "postgresql": "postgresql+psycopg2"}

SECRET_KEYS = frozenset({"exchange.api_key", "exchange.api_secret"})
ADDRESS_KEYS = frozenset({"database.url", "exchange.base_url", "exchange.proxy", "exchange.clock"})


def _whole_number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a truth value is not a number")  # noqa: TRY004 - pydantic reports a ValueError with its place
    return value


def _database_url(value: object) -> object:
    """Spell the driver out: SQLAlchemy knows no `postgres://`, and takes `postgresql://` for another driver."""
    if not isinstance(value, str):
        return value
    scheme, separator, rest = value.strip().partition("://")
    if not separator or not scheme:
        raise ValueError("a database URL such as sqlite:///path or postgresql://user:password@host/name")
    return f"{_DRIVERS.get(scheme.lower(), scheme)}://{rest}"


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


class DataSettings(Section):
    """Where everything is written, and whose bars are read."""

    root: Path = Field(
        Path(DATA_FOLDER), description="Folder for all that is written; a relative one is under the project"
    )
    venue: Annotated[str, Field(pattern=r"^[a-z0-9_-]+$")] | None = Field(
        None, description="Venue whose bars are read when several have the symbol: binance, synthetic, ..."
    )
    offline: bool = Field(False, description="Refuse every command that fetches market data over the network")
    archive_url: str | None = Field(None, description="Another address of the exchange's archive of files")
    sentiment_url: str | None = Field(None, description="Another address of the Fear & Greed index")


class DatabaseSettings(Section):
    """Where runs, intents and fills are recorded."""

    url: Annotated[str, BeforeValidator(_database_url)] = Field(
        "",
        repr=False,
        description="sqlite:///PATH or postgresql://USER@HOST/NAME; default: atb.db in data.root",
    )


class LogSettings(Section):
    """Level and form of the log."""

    level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)] = Field(
        "INFO", description="Least severe level that is written"
    )
    json_lines: bool = Field(False, description="One JSON object per line instead of text for people")


def _names(value: object) -> object:
    """Take names from a text, separated by commas or spaces, as variables and .env have them."""
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


class NotebookSettings(Section):
    """Environment variables and memory that executed notebooks may use."""

    environment: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], ...], NoDecode, BeforeValidator(_names)
    ] = Field((), description="Names of variables that kernels get beside those atb gives every one, comma-separated")
    memory_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of the machine's memory that a notebook's kernel may take, 4 GiB at least; 0: no ceiling",
    )


class StrategySettings(Section):
    """Where your own strategies are."""

    folder: Path | None = Field(
        None, description="Folder of your own strategies, one file each; default: strategies in data.root"
    )


class Settings(BaseSettings):
    """All settings of one process; read them with `load_settings`, which alone looks at the world."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        env_prefix="ATB__",
        env_nested_delimiter="__",
        env_ignore_empty=True,  # an empty variable is how container platforms spell "not set"
    )

    data: DataSettings = DataSettings()
    database: DatabaseSettings = DatabaseSettings()
    exchange: ExchangeSettings = ExchangeSettings()
    live: LiveSettings = LiveSettings()
    log: LogSettings = LogSettings()
    notebooks: NotebookSettings = NotebookSettings()
    strategies: StrategySettings = StrategySettings()
    seed: Annotated[int, BeforeValidator(_whole_number), Field(ge=0, lt=2**32)] = Field(
        42, description="Seed of everything random: sample data, training, resampling"
    )
    project: SkipJsonSchema[Path] = Field(default_factory=Path.cwd, description="The folder `find_project` found")

    @classmethod
    def settings_customise_sources(  # noqa: PLR0917 - the signature is pydantic-settings's
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - as above
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from the constructor alone: `load_settings` reads the sources, to know where each value came from."""
        return (init_settings,)

    @property
    def models_root(self) -> Path:
        """Folder of the model bundles."""
        return self._beside("models", self.project / "models")

    @property
    def promoted_root(self) -> Path:
        """Folder of the manifests that the runner accepts."""
        return self._beside("promoted", self.project / "runners" / "promoted")

    @property
    def strategies_root(self) -> Path:
        """Folder of your own strategies."""
        return self.strategies.folder or self.data.root / "strategies"

    @property
    def keys_root(self) -> Path:
        """Folder of the key pair that signs what trades on paper."""
        return self.data.root / "keys"

    @property
    def trust_root(self) -> Path:
        """Folder of the key pair that signs what trades real money, and of the list of keys that may."""
        return self.live.trust_root or user_folder()

    @property
    def bars_root(self) -> Path:
        """Folder of the Parquet catalogue."""
        return self.data.root / "bars"

    @property
    def runs_root(self) -> Path:
        """Folder of the executed notebooks, one folder per run."""
        return self.data.root / "runs"

    @property
    def trials_root(self) -> Path:
        """Folder of the trials ledger, one folder per machine."""
        return self.data.root / trial_folder.NAME

    @property
    def cache_root(self) -> Path:
        """Folder of what can be computed again."""
        return self.data.root / "cache"

    def _beside(self, name: str, in_project: Path) -> Path:
        """Return the project's own folder for the default root, a folder inside any other root: roots never mix."""
        return in_project if self.data.root == self.project / DATA_FOLDER else self.data.root / name

    def secrets(self) -> tuple[str, ...]:
        """Return every secret text, for redaction: keys, and the passwords in addresses."""
        keys = (self.exchange.api_key, self.exchange.api_secret)
        urls = (self.database.url, self.exchange.base_url, self.exchange.proxy, self.exchange.clock)
        return (
            *(key.get_secret_value() for key in keys if key),
            *(word for url in urls if url for word in url_passwords(url)),
        )


def setting_keys() -> tuple[str, ...]:
    """Return the key of every setting: `section.name`, or `name` for one without a section."""
    keys = []
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            keys += [f"{name}.{inner}" for inner in kind.model_fields]
        elif name != "project":
            keys.append(name)
    return tuple(keys)


def settings_schema() -> dict[str, Any]:
    """Return the JSON schema of `atb.toml`, for editors that complete and check it."""
    schema = Settings.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "atb.toml"}


def shown(key: str, value: object) -> object:
    """Return the value of setting `key` as it may be printed."""
    if value is not None and key in SECRET_KEYS:
        return MASK
    return mask_url(value) if isinstance(value, str) and key in ADDRESS_KEYS else value

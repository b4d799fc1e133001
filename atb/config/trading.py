"""The settings of trading: how an exchange is reached, which account may trade real money, and what stops a runaway."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from atb.serving import is_loopback

ACCOUNT = r"^[A-Za-z0-9_-]{1,32}$"


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a truth value is not a number")  # noqa: TRY004 - pydantic reports a ValueError with its place
    return value


class Section(BaseModel):
    """A group of settings: frozen, and without room for unknown ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


Seconds = Annotated[float, BeforeValidator(_number), Field(gt=0, le=86_400, allow_inf_nan=False)]
Count = Annotated[int, BeforeValidator(_number), Field(ge=1)]
Money = Annotated[Decimal, BeforeValidator(_number), Field(gt=0, allow_inf_nan=False)]
Server = Annotated[str, Field(pattern=r"^https?://[^\s/]+")]


class ExchangeSettings(Section):
    """The exchange that candles come from and orders go to, and the way there."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9]+$")] = Field("binance", description="The exchange's name in ccxt")
    api_key: SecretStr | None = Field(None, description="Key of the account; never needed for research or paper")
    api_secret: SecretStr | None = Field(None, description="Secret of the account; keep it out of files under git")
    base_url: Server | None = Field(
        None, repr=False, description="Another server that speaks the exchange's protocol, such as a simulator"
    )
    proxy: Server | None = Field(
        None, repr=False, description="HTTP proxy for every request and stream to an exchange, by CONNECT"
    )
    ca_file: Path | None = Field(
        None, description="Certificates (PEM) to trust instead of the system's; relative to the project"
    )
    timeout: Seconds = Field(10.0, description="Seconds until a request counts as unanswered")
    recv_window_ms: Annotated[int, BeforeValidator(_number), Field(ge=100, le=60_000)] = Field(
        3_000, description="Milliseconds after its timestamp in which a request may still execute"
    )
    order_entry: Literal["rest", "websocket"] = Field(
        "rest",
        description="The way of orders: rest, or at Binance websocket, with REST behind it while that is not open",
    )
    clock: Annotated[str, Field(pattern=r"^wss?://[^\s/]+")] | None = Field(
        None, description="Clock of a simulated exchange on this machine; time is then virtual"
    )

    @field_validator("clock")
    @classmethod
    def _only_of_a_simulator(cls, value: str | None, info: ValidationInfo) -> str | None:
        """Refuse virtual time wherever a real exchange could be meant."""
        if value is None:
            return None
        ways = [info.data.get(name) for name in ("base_url", "proxy")]
        hosts = [urlsplit(url).hostname for url in (value, *ways) if url]
        # Through a proxy the exchange keeps its own name: then certificates of one's own tell the simulated one from it.
        distinct = info.data.get("base_url") or info.data.get("ca_file")
        if len(hosts) == 1 or not distinct or not all(is_loopback(host) for host in hosts):
            raise ValueError(
                "an address of this machine, beside an exchange.base_url that is one too, or an exchange.proxy with an "
                "exchange.ca_file: only a simulated exchange has a clock"
            )
        return value


class LiveSettings(Section):
    """Settings of trading with real money: what trades, limits outside any strategy, and monitoring of the runner.

    Nothing here arms a runner: real money also wants a live manifest, `--live` and a typed acknowledgement.
    """

    trust_root: Path | None = Field(
        None,
        description="Folder of the keys that are trusted with real money, never inside data.root; default: ~/.config/atb",
    )
    account: Annotated[str, Field(pattern=ACCOUNT)] | None = Field(
        None, description="The one account that may trade real money; any other name is paper"
    )
    max_loss: Money | None = Field(
        None, description="Quote currency that the account may lose before it is flattened; part of the acknowledgement"
    )
    orders_per_minute: Count = Field(120, description="Orders of an account in any minute; one entry more halts it")
    entries_per_bar: Count = Field(5, description="Entries of one slot in one bar; one more halts the account")
    turnover_per_day: Money | None = Field(
        None, description="Quote currency that a day's entries (UTC) may be worth; beyond it the account is halted"
    )
    max_notional: Money | None = Field(
        None, description="Quote currency that one entry may be worth; a larger one halts the account"
    )
    max_share: Money | None = Field(
        Decimal("1.1"), description="Share of equity that one entry may be worth; a larger one halts the account"
    )
    database_grace: Seconds = Field(
        60.0, description="Seconds without the database until the runner ends; stops rest at the exchange"
    )
    health_port: Annotated[int, BeforeValidator(_number), Field(ge=0, le=65_535)] | None = Field(
        None, description="Port of the health page (0: any free one); none without it"
    )
    health_public: bool = Field(False, description="Whether the health page may be seen from other machines")
    health_host: str = Field(
        "127.0.0.1", description="Address of the health page; another machine's needs health_public"
    )
    metrics: bool = Field(True, description="Whether the health page has /metrics")
    sync_interval: Seconds = Field(60.0, description="Seconds between comparisons of the account with the books")
    recheck_interval: Annotated[Seconds, Field(le=3_600)] = Field(
        3_600.0, description="Seconds between checks that sources, model and libraries are still the promoted ones"
    )
    entry_grace: Seconds = Field(
        30.0, description="Seconds after a bar's close in which an entry may still be sent; later it is withheld"
    )
    drift_tolerance: Annotated[Decimal, BeforeValidator(_number), Field(ge=0, lt=1, allow_inf_nan=False)] = Field(
        Decimal("0.000001"), description="Difference between account and books, as a share of them, that is none"
    )

    @field_validator("health_host")
    @classmethod
    def _only_here(cls, value: str, info: ValidationInfo) -> str:
        if not is_loopback(value) and not info.data.get("health_public"):
            raise ValueError("an address of this machine, such as 127.0.0.1, unless live.health_public is true")
        return value

"""The acknowledgement before real money: words typed by a person, bound to one account, largest loss and configuration.

Nothing that a process merely inherits can arm it. A runner trades real money only if every manifest was promoted to live, the
account is the one named in the settings, the command line says `--live`, and a person typed the words, now or earlier under the
same settings.
"""

import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, SecretStr
from sqlalchemy import insert, select

from atb.db import Database
from atb.db.tables import AcknowledgementRow as Row
from atb.errors import ConfigError, InputError, PromotionError, SetupError
from atb.monitoring.processes import Holder
from atb.redaction.addresses import mask_url

if TYPE_CHECKING:
    from atb.config import Settings

_WORDS = re.compile(r"(?P<account>\S+) max-loss (?P<max_loss>\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """The command line of a start of the runner.

    Parameters
    ----------
    account
        `--account`.
    modes
        The mode of each manifest.
    live
        `--live`.
    typed
        `--ack`: the words, None if not given.
    ask
        Shows a person the words and returns what was typed; None without a terminal.
    """

    account: str
    modes: Sequence[str]
    live: bool = False
    typed: str | None = None
    ask: Callable[[str], str] | None = None


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Typed words and what they are bound to; `max_loss` in quote currency."""

    account: str
    max_loss: Decimal
    config_sha256: str
    text: str


def words(account: str, max_loss: Decimal) -> str:
    """Return the words to type, such as `main max-loss 250`."""
    return f"{account} max-loss {max_loss.normalize():f}"


def config_sha256(settings: "Settings") -> str:
    """Return a hash over all settings that decide where orders go and what limits them; secrets enter it hashed.

    These are the sections `exchange` and `live`, and the journal's address. Another key, server, limit or journal is another
    hash, and the words must be typed again.
    """
    content = {
        "exchange": _plain(settings.exchange),
        "live": _plain(settings.live),
        "journal": mask_url(settings.database.url),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _plain(section: BaseModel) -> dict[str, Any]:
    return {name: _text(getattr(section, name)) for name in type(section).model_fields}


def _text(value: object) -> str | None:
    if isinstance(value, SecretStr):
        return hashlib.sha256(f"atb {value.get_secret_value()}".encode()).hexdigest()
    if isinstance(value, Decimal):  # 250 and 250.00 are the same loss
        return f"{value.normalize():f}"
    return None if value is None else str(value)


def arm(database: Database, settings: "Settings", request: StartRequest) -> Acknowledgement | None:
    """Return the acknowledgement under which this start trades real money; None on paper.

    Words that are typed now are stored. Words that were typed earlier hold for as long as account, largest loss and
    configuration are the same, so that a supervisor may start the runner again.

    Raises
    ------
    PromotionError
        If `--live` was given and a manifest was not promoted to live.
    ConfigError
        If the settings name no account, another one, no largest loss or no key; or the paper account has the real one's name.
    SetupError
        If this is a notebook, or a process started by one.
    InputError
        If the words were not typed, or are others.
    """
    live = settings.live
    if not request.live:
        if request.account == live.account:
            raise ConfigError(
                "This is the account for real money, and --live was not given",
                found=request.account,
                todo="Name another one for paper: --account NAME",
            )
        return None
    refuse_notebook()
    if wrong := sorted({mode for mode in request.modes if mode != "live"}):
        raise PromotionError(
            f"Real money is for manifests that were promoted to live, not to {', '.join(wrong)}",
            todo="Promote a rehearsed run: atb promote RUN_ID --to live; or leave --live out",
        )
    _check_settings(settings, request.account)
    assert live.max_loss is not None  # checked above
    return _acknowledged(database, settings, request, max_loss=live.max_loss)


def _check_settings(settings: "Settings", account: str) -> None:
    """Refuse settings that lack anything real money needs, naming all that is missing."""
    live, exchange = settings.live, settings.exchange
    if live.account is not None and live.account != account:
        raise ConfigError(
            f"The settings give real money to account {live.account} alone", found=account, todo="Correct live.account"
        )
    needed = {
        "live.account": live.account,
        "live.max_loss": live.max_loss,
        "exchange.api_key": exchange.api_key,
        "exchange.api_secret": exchange.api_secret,
    }
    if missing := [name for name, value in needed.items() if value is None]:
        raise ConfigError(
            f"Real money needs the settings {', '.join(missing)}", todo="`atb config show` lists them all"
        )


def _acknowledged(
    database: Database, settings: "Settings", request: StartRequest, *, max_loss: Decimal
) -> Acknowledgement:
    text, bound_to = words(request.account, max_loss), config_sha256(settings)
    if request.typed is None:
        known = _stored(database, request.account, bound_to)
        if known is not None and known.max_loss == max_loss:
            return known
    typed = request.typed if request.typed is not None or request.ask is None else request.ask(text)
    if typed is None:
        raise InputError(
            "Real money must be acknowledged, and was not under these settings", todo=f'Type it: --ack "{text}"'
        )
    _check_words(typed, request.account, max_loss)
    row = {"account": request.account, "max_loss": max_loss, "config_sha256": bound_to, "text": text}
    with database.session() as session:
        session.execute(insert(Row), [{**row, "holder": str(Holder.here())}])
    stored = _stored(database, request.account, bound_to)
    assert stored is not None  # just written
    return stored


def _check_words(typed: str, account: str, max_loss: Decimal) -> None:
    match = _WORDS.fullmatch(typed.strip())
    if match is None or match["account"] != account or Decimal(match["max_loss"]) != max_loss:
        raise InputError(
            "The acknowledgement is not of this account and its largest loss",
            found=typed,
            todo=f"It is: {words(account, max_loss)}",
        )


def _stored(database: Database, account: str, bound_to: str) -> Acknowledgement | None:
    query = select(Row).where(Row.account == account, Row.config_sha256 == bound_to).order_by(Row.id.desc()).limit(1)
    with database.session(read_only=True) as session:
        row = session.scalars(query).one_or_none()
    if row is None:
        return None
    return Acknowledgement(row.account, row.max_loss, row.config_sha256, row.text)


def person() -> Callable[[str], str] | None:
    """Return a prompt to the person at the terminal; None if input or output is no terminal."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr and sys.stderr.isatty()):
        return None

    def ask(wanted: str) -> str:
        sys.stderr.write(f"This trades REAL MONEY. To go on, type: {wanted}\n> ")
        sys.stderr.flush()
        return sys.stdin.readline().rstrip("\n")

    return ask


def refuse_notebook() -> None:
    """Refuse to trade real money inside a notebook's kernel, or in a process that a kernel started.

    Raises
    ------
    SetupError
        If this is one.
    """
    shell = sys.modules.get("IPython")  # loaded in every notebook, but loading it alone makes none
    if (
        shell is not None and shell.get_ipython() is not None
    ) or "JPY_PARENT_PID" in os.environ:  # Jupyter gives it to its kernels, and they to what they start
        raise SetupError(
            "Real money is never traded from a notebook: cells run out of order, and a kernel ends with its window",
            todo="Start the runner in a terminal of its own: python runners/live.py MANIFEST --live",
        )

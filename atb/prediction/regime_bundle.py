"""Fitted regimes as files: `<root>/<symbol slug>/<name>/<version>/regime.json`, one card that holds the numbers too.

A model of regimes is a few dozen numbers, so its card is the artefact: parameters of every fit, which bars each was fitted on
(first open, close of the last, number, fingerprint), the source they belong to, and a hash over all of it. No pickle: reading it
runs nothing. Loading replays a market made of sines, so that a library or processor that would infer something else is found.
"""

import hashlib
import json
import platform
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atb import __version__
from atb.domain import Bars, Symbol, Timeframe
from atb.errors import InputError, ModelError
from atb.features import regimes
from atb.features.regimes import Fit, GaussianHmm, Hysteresis, JumpModel, Refitted, Scale
from atb.prediction.card import content_sha256, render
from atb.prediction.carded import Carded, write_whole
from atb.reading import MIB, parse_json, read_file

if TYPE_CHECKING:
    import pandas as pd

REGIME = "regime.json"
SCHEMA = 1
LARGEST = 16 * MIB
FIELDS: dict[str, type] = {
    "schema": int, "name": str, "version": str, "created": str, "symbol": str, "timeframe": str, "venue": str,
    "synthetic": bool, "method": str, "labels": list, "warmup": int, "regime": dict, "fingerprint": str,
    "source_sha256": str, "versions": dict, "fixtures": list, "content_sha256": str,
}  # fmt: skip
LIBRARIES = ("numpy", "pandas", "hmmlearn", "jumpmodels")
METHODS: dict[str, Callable[..., Any]] = {"gaussian_hmm": GaussianHmm, "jump_model": JumpModel}
_AGAIN = "Fit it again (notebooks/08_regimes.ipynb) or restore the file"
_TOLERANCE = 1e-9
_FIXTURES, _SPREAD = (
    12,
    96,
)  # rows with known answers, and the last rows of the replayed market that they are taken from


@dataclass(frozen=True)
class RegimeBundle(Carded):
    """A fitted model of regimes that passed every check of `load_regime`."""

    regime: Refitted


def save_regime(regime: Refitted, bars: Bars, *, root: Path, name: str = "regime", now: datetime | None = None) -> Path:
    """Write a fitted model of regimes under `root` and return its folder, which is whole or absent.

    Parameters
    ----------
    regime, bars
        The model, and the bars that it was fitted on.

    Raises
    ------
    InputError
        If the name is none.
    ModelError
        If it does not load, or this version exists already.
    """
    if not name.isidentifier() or len(name) > 64:
        raise InputError("A model's name is letters, digits and _", found=name)
    card = _card(regime, bars, name, now=now or datetime.now(UTC))
    return write_whole(Path(root) / bars.symbol.slug / name / str(card["version"]), {REGIME: render(card)}, load_regime)


def load_regime(path: Path) -> RegimeBundle:
    """Read a folder that `save_regime` wrote, check everything its card says and replay its fixtures.

    Raises
    ------
    ModelError
        If the file is missing or changed, its numbers are no model, or this program would infer other regimes. The message names
        the file.
    """
    file = Path(path) / REGIME
    try:
        raw = read_file(file, max_bytes=LARGEST)
        card = _checked(parse_json(raw), raw, file)
        regime = regime_of(card["regime"])
        Symbol.parse(card["symbol"]), Timeframe.parse(card["timeframe"])
    except ModelError:
        raise
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"{file} holds no model of regimes: {error}", todo=_AGAIN) from error
    _replay(card, regime, file)
    return RegimeBundle(Path(path), card, regime)


def find_regime(root: Path, symbol: str | Symbol, timeframe: str | Timeframe, *, name: str = "regime") -> Path:
    """Return the folder of the newest model of regimes of exactly this symbol, timeframe and name.

    Raises
    ------
    ModelError
        If there is none.
    """
    symbol, timeframe = Symbol.parse(symbol), Timeframe.parse(timeframe)
    for file in sorted(Path(root).glob(f"{symbol.slug}/{name}/[!.]*/{REGIME}"), reverse=True):
        card = load_regime(file.parent).card
        if (card["symbol"], card["timeframe"]) == (str(symbol), str(timeframe)):
            return file.parent
    raise ModelError(
        f"No model of regimes {name} of {symbol} {timeframe} in {root}", todo="Fit one: notebooks/08_regimes.ipynb"
    )


def regime_of(values: dict[str, Any]) -> Refitted:
    """Return the model of what `Refitted.to_json` gave.

    Raises
    ------
    InputError, TypeError, KeyError
        If these are no such values.
    """
    method = METHODS[values["method"]]
    fits = tuple(Fit(**(fit | {"model": _model(method, fit["model"])})) for fit in values["fits"])
    rules = values["hysteresis"]
    return Refitted(fits, None if rules is None else Hysteresis(**rules))


def _model(method: Callable[..., Any], values: dict[str, Any]) -> Any:
    plain = {name: _tuples(value) for name, value in values.items() if name != "scale"}
    return method(scale=Scale(**{name: _tuples(value) for name, value in values["scale"].items()}), **plain)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _card(regime: Refitted, bars: Bars, name: str, *, now: datetime) -> dict[str, Any]:
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%S%f")[:-3] + "Z"
    card: dict[str, Any] = {
        "schema": SCHEMA,
        "name": name,
        "version": f"{stamp}-{regime.fingerprint[:8]}",
        "created": now.astimezone(UTC).isoformat(),
        "symbol": str(bars.symbol),
        "timeframe": str(bars.timeframe),
        "venue": bars.venue,
        "synthetic": bars.synthetic,
        "method": regime.name,
        "labels": list(regime.labels),
        "warmup": regime.warmup,
        "regime": json.loads(json.dumps(regime.to_json())),
        "fingerprint": regime.fingerprint,
        "source_sha256": source_sha256(),
        "versions": {library: metadata.version(library) for library in LIBRARIES}
        | {"python": platform.python_version(), "atb": __version__},
        "fixtures": _answers(regime),
    }
    return card | {"content_sha256": content_sha256(card)}


def source_sha256() -> str:
    """Return the hash of the source of regimes: another source may mean other regimes by the same numbers."""
    digest = hashlib.sha256()
    for file in sorted(Path(str(regimes.__file__)).parent.glob("*.py")):
        digest.update(file.name.encode() + file.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()


def _checked(card: Any, raw: bytes, file: Path) -> dict[str, Any]:
    """Return the card if it is whole, or refuse it."""
    if not isinstance(card, dict) or card.get("schema") != SCHEMA:
        raise ModelError(f"{file} is no card of regimes of schema {SCHEMA}", todo=_AGAIN)
    if odd := sorted(FIELDS.keys() ^ card.keys()):
        raise ModelError(f"{file} lacks or has too much of: {', '.join(odd)}", todo=_AGAIN)
    for name, kind in FIELDS.items():
        if not isinstance(card[name], kind) or (kind is int and isinstance(card[name], bool)):
            raise ModelError(f"{file}: {name} has the wrong type", found=card[name], todo=_AGAIN)
    if raw != render(card) or card["content_sha256"] != content_sha256(card):
        raise ModelError(f"{file} was changed after it was written: its content hash does not match", todo=_AGAIN)
    if card["source_sha256"] != source_sha256():
        raise ModelError(
            f"{file}: the source of regimes (atb/features/regimes) changed since this model was fitted", todo=_AGAIN
        )
    return card


def _replay(card: dict[str, Any], regime: Refitted, file: Path) -> None:
    """Refuse a card that is not of this model, or whose answers this program does not give."""
    own = (regime.name, list(regime.labels), regime.warmup, regime.fingerprint)
    if own != (card["method"], card["labels"], card["warmup"], card["fingerprint"]):
        raise ModelError(f"{file}: the card is not of its own numbers", found=own[0], todo=_AGAIN)
    answers, expected = np.array(_answers(regime)), np.array(card["fixtures"], dtype=np.float64)
    if answers.shape != expected.shape or not np.allclose(answers, expected, rtol=0, atol=_TOLERANCE):
        raise ModelError(f"{file}: this program infers other regimes than the one that fitted them", todo=_AGAIN)


def _answers(regime: Refitted) -> list[list[float]]:
    """Return the columns of the newest fit at some bars of a market made of sines; -1 where there is no value."""
    table = regime.compute(_sines(regime)).to_numpy()[-_SPREAD :: _SPREAD // _FIXTURES]
    return [[float(value) for value in row] for row in np.nan_to_num(table, nan=-1.0)]


def _sines(regime: Refitted) -> "pd.DataFrame":
    """Return hourly bars after the newest fit whose drift and range come and go, without a random number."""
    import pandas as pd

    at = np.arange(regime.warmup + 1 + _SPREAD)
    width = 0.001 + 0.03 * np.sin(at / 29) ** 4
    close = 100 * np.exp(np.cumsum(width * np.sin(at / 3) * 0.5 + 0.002 * np.sin(at / 41)))
    index = pd.DatetimeIndex((regime.fits[-1].known_ms + at * 3_600_000).astype("datetime64[ms]"), tz="UTC")
    return pd.DataFrame({"high": close * (1 + width), "low": close * (1 - width), "close": close}, index)

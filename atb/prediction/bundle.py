"""Bundles: `<root>/<symbol slug>/<name>/<version>/{model.onnx, card.json}`, written whole, found exactly, loaded warily."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from atb.domain import Symbol, Timeframe
from atb.errors import InputError, ModelError
from atb.prediction.card import RETRAIN, check_card, check_features, check_graph, make_card, render
from atb.prediction.carded import Carded, write_whole
from atb.reading import MIB, parse_json, read_file

if TYPE_CHECKING:
    from atb.prediction.evaluation import Evaluation
    from atb.prediction.export import Parity
    from atb.prediction.recipes import Trained

MODEL, CARD = "model.onnx", "card.json"
LARGEST = {MODEL: 256 * MIB, CARD: MIB}  # bytes of a file that is read at all
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")  # of a path: nothing that could leave the root


@dataclass(frozen=True)
class Bundle(Carded):
    """A model that passed every check of `load_bundle`."""

    model: bytes

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the hashes of the graph and the card."""
        return sha256(f"{self.card['model_sha256']} {self.card['content_sha256']}".encode()).hexdigest()


def save_bundle(
    trained: "Trained",
    evaluation: "Evaluation",
    *,
    model: bytes,
    parity: "Parity",
    root: Path,
    now: datetime | None = None,
) -> Path:
    """Write a bundle under `root` and return its folder.

    It is written beside its place, loaded as any reader would load it, and only then renamed: a bundle is whole or absent.

    Raises
    ------
    ModelError
        If the bundle does not load, or its version exists already.
    """
    card = make_card(trained, evaluation, model=model, parity=parity, now=now or datetime.now(UTC))
    target = _family(root, trained.bars.symbol, card["name"]) / str(card["version"])
    return write_whole(target, {MODEL: model, CARD: render(card)}, load_bundle)


def load_bundle(path: Path) -> Bundle:
    """Read a bundle's folder, check everything its card promises and replay its fixtures.

    Raises
    ------
    ModelError
        If a file is missing or changed, the card is not whole, the features are not those of the training, or the graph has
        other shapes or gives other answers. The message names the file.
    """
    path = Path(path)
    raw, model = _read(path, CARD), _read(path, MODEL)
    card = check_card(_parsed(raw, path / CARD), raw, path / CARD)
    try:
        Symbol.parse(card["symbol"]), Timeframe.parse(card["timeframe"])
    except InputError as error:
        raise ModelError(f"{path / CARD}: {error}", todo=RETRAIN) from error
    check_features(card, path / CARD)
    check_graph(card, model, path / MODEL)
    return Bundle(path, card, model)


def find_bundle(
    root: Path, symbol: str | Symbol, timeframe: str | Timeframe, *, name: str = "basic", version: str | None = None
) -> Path:
    """Return the folder of the newest bundle of exactly this symbol, timeframe and name, or of the requested version.

    Raises
    ------
    InputError
        If a name or version could lead out of the root.
    ModelError
        If there is none (the message lists those there are), or a bundle there belongs to another symbol.
    """
    symbol, timeframe = Symbol.parse(symbol), Timeframe.parse(timeframe)
    folder = _family(root, symbol, name)
    if version is not None:
        _checked_part("A version", version)
    found = [path for path in _versions(folder) if version in (None, path.name)]
    for path in reversed(found):
        if not path.resolve().is_relative_to(Path(root).resolve()):
            raise ModelError("A bundle leads out of the models folder", found=str(path), todo="Remove the link")
        card = _identity(path)
        if card["symbol"] != str(symbol):
            raise ModelError(f"{path / CARD} is of {card['symbol']}, in the folder of {symbol}", todo="Remove it")
        if card["timeframe"] == str(timeframe):
            return path
    wanted = f"{name} {symbol} {timeframe}" + (f" version {version}" if version else "")
    available = ", ".join(sorted({_described(path) for path in list_bundles(root)})) or "no model at all"
    raise ModelError(
        f"No model {wanted} in {root}: there is {available}",
        todo=f"Train one: atb run notebooks/02_train.ipynb -p symbol={symbol} -p timeframe={timeframe}",
    )


def list_bundles(root: Path) -> list[Path]:
    """Return the folders of all bundles under `root`, by symbol, name and version; nothing is checked."""
    families = sorted(path for path in Path(root).glob("*/*") if path.is_dir())
    return [version for family in families for version in _versions(family)]


def _family(root: Path, symbol: Symbol, name: str) -> Path:
    return Path(root) / symbol.slug / _checked_part("A model's name", name)


def _checked_part(what: str, part: str) -> str:
    if not isinstance(part, str) or not _PART.fullmatch(part):
        raise InputError(f"{what} is letters, digits, _ and -", found=part)
    return part


def _versions(family: Path) -> list[Path]:
    """Return the version folders, oldest first: versions start with their time; drafts start with a dot.

    A folder with neither a model nor its card is none: regimes are kept beside the models (`regime_bundle`).
    """
    found = [path for path in family.glob("[!.]*") if path.is_dir()]
    return sorted(path for path in found if (path / MODEL).exists() or (path / CARD).exists())


def _identity(path: Path) -> dict[str, str]:
    """Return symbol and timeframe as the card has them, unchecked otherwise."""
    card = _parsed(_read(path, CARD), path / CARD)
    if not isinstance(card, dict) or not all(isinstance(card.get(key), str) for key in ("symbol", "timeframe")):
        raise ModelError(f"{path / CARD} names no symbol and timeframe", todo=RETRAIN)
    return card


def _described(path: Path) -> str:
    try:
        card = _identity(path)
    except ModelError:
        return f"{path} (broken)"
    return f"{path.parent.name} {card['symbol']} {card['timeframe']}"


def _read(folder: Path, name: str) -> bytes:
    """Return a bundle's file, which must lie in its folder."""
    file = folder / name
    if not file.is_file():
        raise ModelError(f"{file} is missing", todo=RETRAIN)
    if file.resolve().parent != folder.resolve():
        raise ModelError(f"{file} is a link out of its bundle", todo=RETRAIN)
    try:
        return read_file(file, max_bytes=LARGEST[name])
    except (OSError, ValueError) as error:
        raise ModelError(f"{file} cannot be read: {error}", todo=RETRAIN) from None


def _parsed(raw: bytes, where: Path) -> object:
    try:
        return parse_json(raw)
    except ValueError as error:
        raise ModelError(f"{where} is no JSON: {error}", todo=RETRAIN) from error

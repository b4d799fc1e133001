"""What decides: the hashes of the sources, the model and the libraries that turn a bar into an order."""

import hashlib
import platform
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

from atb.errors import PromotionError

PACKAGE = Path(__file__).resolve().parents[1]  # the folder of the installed package `atb`
DECISIVE = ("numba", "numpy", "TA-Lib", "onnxruntime")  # another version may give other numbers
RECORDED = (*DECISIVE, "pandas", "atb-workbench")
_ALWAYS = ("domain", "engine", "features")
_MODEL = ("prediction/predictor.py", "prediction/bundle.py", "prediction/card.py")
_COMPONENTS = "strategies/components.py"
_AGAIN = "Restore it, or backtest and promote again"


def file_sha256(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def source_hashes(module: str, *, predicts: bool, package: Path = PACKAGE) -> dict[str, str]:
    """Return the SHA-256 of every source file that takes part in a decision, by its path from the package's parent.

    Parameters
    ----------
    module
        The strategy's module, such as `atb.strategies.sma_cross`.
    predicts
        Whether a model takes part.
    package
        The folder of the package `atb`.

    Raises
    ------
    PromotionError
        If the strategy's file is not there.
    """
    strategy = package.parent / f"{module.replace('.', '/')}.py"
    if not strategy.is_file():
        raise PromotionError("The strategy's source cannot be found", found=str(strategy))
    paths = [path for folder in _ALWAYS for path in sorted((package / folder).glob("*.py"))]
    paths += [strategy, package / _COMPONENTS]
    paths += [package / name for name in _MODEL if predicts]
    return {path.relative_to(package.parent).as_posix(): file_sha256(path) for path in paths if path.is_file()}


def check_sources(pinned: Mapping[str, str], *, package: Path = PACKAGE) -> None:
    """Refuse when a pinned source file is missing or has another byte.

    Raises
    ------
    PromotionError
        Naming every such file.
    """
    changed = [name for name, sha256 in pinned.items() if not _is(package.parent / name, sha256)]
    if changed:
        what = "A source file" if len(changed) == 1 else f"{len(changed)} source files"
        raise PromotionError(f"{what} changed since the promotion: {', '.join(changed)}", todo=_AGAIN)


def check_kernel(pinned: str, *, package: Path = PACKAGE) -> None:
    """Refuse another kernel than the pinned one: any of its sources, its compile options or numba's version.

    Raises
    ------
    PromotionError
        With the beginning of both hashes.
    """
    from atb.engine.cache import hash_source

    found = hash_source(package / "engine")
    if found != pinned:
        raise PromotionError(
            f"The decision kernel is not the promoted one, which is {pinned[:12]}", found=found[:12], todo=_AGAIN
        )


def check_model(pinned: Mapping[str, str] | None, models_root: Path) -> None:
    """Refuse when the pinned bundle's graph or card is missing, elsewhere or changed.

    Raises
    ------
    PromotionError
        Naming `model.onnx` or `card.json`.
    """
    if pinned is None:
        return
    folder = (models_root / pinned["path"]).resolve()
    if not folder.is_relative_to(models_root.resolve()):
        raise PromotionError("The manifest's model lies outside the models folder", found=pinned["path"])
    for name, key in (("model.onnx", "model_sha256"), ("card.json", "card_sha256")):
        if not (folder / name).is_file():
            raise PromotionError(f"The promoted {name} is missing", found=str(folder / name), todo=_AGAIN)
        if not _is(folder / name, pinned[key]):
            raise PromotionError(f"The promoted {name} was changed", found=str(folder / name), todo=_AGAIN)


def installed_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a decision runs through."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in RECORDED}


def check_versions(pinned: Mapping[str, str], installed: Mapping[str, str] | None = None) -> list[str]:
    """Refuse another version of a library that decides; return a warning for each other difference.

    Raises
    ------
    PromotionError
        Naming the libraries with both versions.
    """
    here = installed_versions() if installed is None else installed
    differs = {
        name: f"{name} {here.get(name)} instead of {was}" for name, was in pinned.items() if here.get(name) != was
    }
    _refuse_versions(differs[name] for name in DECISIVE if name in differs)
    return [f"Not the promoted version: {text}" for text in differs.values()]


def _refuse_versions(texts: Iterable[str]) -> None:
    if wrong := ", ".join(texts):
        raise PromotionError(
            f"Other library versions than the promoted ones: {wrong}",
            todo="Install the promoted versions, or backtest and promote again",
        )


def _is(path: Path, sha256: str) -> bool:
    return path.is_file() and file_sha256(path) == sha256

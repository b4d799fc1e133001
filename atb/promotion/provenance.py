"""Provenance: hashes of the sources, lock files and model, and versions of the libraries, that turn a bar into an order.

A manifest pins exactly what a runner loads of this package (`closure`): a changed, missing or new file ends the promotion. The lock
files list the libraries: those of research, which computed the evidence, and those of the runner. They lie beside the package in a
checkout; an installed package has neither runner nor lock files, and cannot promote. Of libraries the versions are pinned: another
version of one that decides is refused, of any other only warned of.
"""

import hashlib
import platform
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

from atb import sources
from atb.errors import PromotionError
from atb.promotion.closure import runner_files, source_bytes, source_file

PACKAGE = Path(__file__).resolve().parents[1]  # the folder of the installed package `atb`
DECISIVE = ("numba", "numpy", "TA-Lib", "onnxruntime", "ccxt")  # another version may give other numbers or orders
RECORDED = (*DECISIVE, "pandas", "atb-workbench")
LOCKS = ("requirements.lock", "requirements-live.lock")
_AGAIN = "Restore it, or backtest and promote again"


def file_sha256(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def source_hashes(module: str, *, package: Path = PACKAGE) -> dict[str, str]:
    """Return the SHA-256 of every source file used when a strategy trades, by its path from the package's parent.

    Parameters
    ----------
    module
        The strategy's module, such as `atb.strategies.sma_cross`.
    package
        The folder of the package `atb`.

    Raises
    ------
    PromotionError
        If the strategy's file or the runner is missing.
    """
    return {name: hashlib.sha256(content).hexdigest() for name, content in runner_files(package, module).items()}


def lock_hashes(*, package: Path = PACKAGE) -> dict[str, str]:
    """Return the SHA-256 of each lock file beside the package, by its name.

    Raises
    ------
    PromotionError
        If there is none.
    """
    found = {name: file_sha256(package.parent / name) for name in LOCKS if (package.parent / name).is_file()}
    if not found:
        raise PromotionError(
            "No lock file is beside the package, so the libraries are not known", found=str(package.parent),
            todo="Promote and trade from a checkout: git clone, then make setup",
        )  # fmt: skip
    return found


def check_sources(pinned: Mapping[str, str], module: str, *, package: Path = PACKAGE) -> None:
    """Refuse if a runner would load other sources than the pinned ones: changed, missing or additional files.

    Raises
    ------
    PromotionError
        The message names every such file.
    """
    _refuse("A source file", "source files", changed_sources(pinned, package=package))
    if missing := sorted(source_hashes(module, package=package).keys() - pinned.keys()):
        raise PromotionError(
            f"The manifest pins less than the runner loads: {_listed(missing)}", todo="Backtest and promote again"
        )


def changed_sources(pinned: Mapping[str, str], *, package: Path = PACKAGE) -> list[str]:
    """Return the pinned source files that are missing or changed."""
    return [name for name, sha256 in pinned.items() if not _is(source_file(name, package), sha256)]


def check_locks(pinned: Mapping[str, str], *, package: Path = PACKAGE) -> None:
    """Refuse if a lock file is changed, missing or new.

    Raises
    ------
    PromotionError
        The message names each.
    """
    here = lock_hashes(package=package)
    changed = sorted(name for name in here.keys() | pinned.keys() if here.get(name) != pinned.get(name))
    _refuse("A lock file", "lock files", changed)


def seal(pinned: Mapping[str, str], *, package: Path = PACKAGE) -> None:
    """Let this process run only the pinned sources of the package; modules already loaded are checked too.

    Raises
    ------
    PromotionError
        The message names each running module that is not pinned, or was not loaded from its pinned source.
    """
    contents = {name: source_bytes(source_file(name, package)) for name in pinned}
    changed = [name for name, content in contents.items() if hashlib.sha256(content).hexdigest() != pinned[name]]
    _refuse("A source file", "source files", changed)
    files = {source_file(name, package).resolve(): content for name, content in contents.items()}
    runs = sources.executed()
    foreign = [file for file, content in runs.items() if files.get(Path(file)) != content]
    if foreign := sorted({*foreign, *sources.unexplained()}):
        raise PromotionError(
            f"This process runs modules that are not pinned: {_listed(foreign)}", todo="Start the runner again"
        )
    sources.seal(files)


def _refuse(what: str, several: str, changed: list[str]) -> None:
    if changed:
        which = what if len(changed) == 1 else f"{len(changed)} {several}"
        raise PromotionError(f"{which} changed since the promotion: {_listed(changed)}", todo=_AGAIN)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more


def check_kernel(pinned: str, *, package: Path = PACKAGE) -> None:
    """Refuse a kernel other than the pinned one: sources, compile options, numba's version.

    Raises
    ------
    PromotionError
        The message has the first digits of both hashes.
    """
    from atb.engine.cache import hash_source

    found = hash_source(package / "engine")
    if found != pinned:
        raise PromotionError(
            f"The decision kernel is not the promoted one, {pinned[:12]}", found=found[:12], todo=_AGAIN
        )


def check_model(pinned: Mapping[str, str] | None, models_root: Path) -> None:
    """Refuse if the pinned bundle's model or card is missing, elsewhere or changed.

    Raises
    ------
    PromotionError
        The message names `model.onnx` or `card.json`.
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
    """Return the versions of Python and of the packages involved in decisions; `none` for one that is not installed."""
    return {"python": platform.python_version()} | {name: _installed(name) for name in RECORDED}


def _installed(name: str) -> str:
    try:
        return metadata.version(name) or "none"  # during an installation the folder exists without its version
    except metadata.PackageNotFoundError:
        return "none"


def check_versions(pinned: Mapping[str, str], installed: Mapping[str, str] | None = None) -> list[str]:
    """Refuse another version of a decisive library, or one that is not pinned; return a warning for each other difference.

    Raises
    ------
    PromotionError
        The message names the libraries with both versions.
    """
    here = installed_versions() if installed is None else installed
    if missing := sorted(set(here) - set(pinned)):
        raise PromotionError(f"The manifest does not pin the versions of {', '.join(missing)}", todo=_AGAIN)
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

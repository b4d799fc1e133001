"""The modules of this package run from their sources alone: byte code beside a source is neither read nor written.

Python takes byte code for a source's by size and time stamp, and both can be forged, or be the same by chance. Whoever then hashes
the source vouches for code that does not run. So a finder in front of Python's own compiles each module of `atb` from the
bytes of its `.py` file and keeps their hash. Compiling what a runner loads (19,000 lines) takes 0.15 s; loading byte code
takes 0.01 s. Byte code whose header names the source's hash would be no proof either: its maker writes the header too.

- An extension module beside a source is passed over; one without a source is refused, like byte code without a source.
- A runner compiles this module from bytes whose hash it has compared, calls `seal` and then `begin` before it imports anything of
  `atb`, so that nothing of the package runs that is not what the manifests pin.
- `seal` keeps the bytes that a promotion pins in memory. What is imported later comes from there, whatever has happened to the
  files (an update under a running runner, say), and what is not pinned cannot be imported.

Other packages are loaded as Python does: their versions are pinned, and who may write there is for the owner of the environment.
"""

import os
import sys
from importlib.machinery import FileFinder, ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:  # this module is loaded before all others: it imports nothing heavy
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PACKAGE = "atb"
_executed: dict[str, bytes] = {}  # the source that was compiled, by file
_sealed: dict[str, bytes] = {}  # by file; empty while nothing is sealed


class ForeignModuleError(ImportError):
    """A module of the package that has no source, or that is not pinned by what is promoted."""


class SourceLoader(SourceFileLoader):
    """Compiles a module from its source each time."""

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 - importlib's signature
        """Return the code of the source as it is now, or as it was sealed."""
        source = self.get_data(self.path)
        _executed[os.path.realpath(self.path)] = source
        code: CodeType = self.source_to_code(source, self.path)
        return code

    def get_data(self, path: str) -> bytes:
        """Return a file's bytes: the sealed ones where there are."""
        kept = _sealed.get(os.path.realpath(path)) if _sealed else None
        return super().get_data(path) if kept is None else kept


class SourceFinder:
    """Finds modules of the package by their sources."""

    @staticmethod
    def find_spec(
        fullname: str,
        path: "Sequence[str] | None" = None,
        target: ModuleType | None = None,  # noqa: ARG004 - importlib's signature
    ) -> ModuleSpec | None:
        """Return where a module's source is, None for modules of others and for none at all.

        Raises
        ------
        ForeignModuleError
            If the module has no source but could be loaded from something else, or is not among the sealed ones.
        """
        if path is None or not fullname.startswith(f"{PACKAGE}."):
            return None
        for folder in path:
            spec = FileFinder(folder, (SourceLoader, [".py"])).find_spec(fullname)
            if spec is not None and spec.loader is not None:
                return _allowed(spec)
        other = PathFinder.find_spec(fullname, path)
        if other is not None and other.loader is not None:
            raise ForeignModuleError(
                f"{fullname} has no source: {other.origin} would be loaded in its place", name=fullname
            )
        return None


def _allowed(spec: ModuleSpec) -> ModuleSpec:
    if _sealed and os.path.realpath(str(spec.origin)) not in _sealed:
        raise ForeignModuleError(f"{spec.name} is not pinned by what is promoted: {spec.origin}", name=spec.name)
    return spec


def install() -> None:
    """Put the finder in front of Python's own, once."""
    if not any(isinstance(finder, SourceFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, SourceFinder())


def begin() -> None:
    """Load the package from its sources, in a process that imported nothing of it but this module, and that from its source.

    The process makes sure of that by a loader that overrides `SourceFileLoader.get_code`, as `SourceLoader` does.
    """
    own = sys.modules[__name__]
    _executed[os.path.realpath(__file__)] = SourceLoader(__name__, __file__).get_data(__file__)
    install()
    folder = os.path.dirname(__file__)  # noqa: PTH120 - pathlib is heavy
    loader = SourceLoader(PACKAGE, os.path.join(folder, "__init__.py"))  # noqa: PTH118 - as above
    spec = ModuleSpec(PACKAGE, loader, origin=loader.path, is_package=True)
    spec.submodule_search_locations, spec.has_location = [folder], True
    package = ModuleType(PACKAGE)
    package.__dict__.update(
        __spec__=spec, __loader__=loader, __file__=loader.path, __path__=[folder], __package__=PACKAGE
    )
    sys.modules[PACKAGE] = package
    loader.exec_module(package)
    setattr(package, "sources", own)  # noqa: B010 - a module's attribute is what importing it would set


def executed() -> dict[str, bytes]:
    """Return each source that runs in this process by its file (absolute, without links)."""
    return dict(_executed)


def unexplained() -> list[str]:
    """Return the modules of the package in this process that were not loaded from their sources by this module."""
    mine = [(name, module) for name, module in sys.modules.items() if name.partition(".")[0] == PACKAGE]
    return sorted(name for name, module in mine if os.path.realpath(str(module.__file__)) not in _executed)


def seal(files: "Mapping[Path, bytes]") -> None:
    """Let this process import these sources of the package alone, from these bytes; more may be added by another call."""
    _sealed.update({os.path.realpath(path): content for path, content in files.items()})

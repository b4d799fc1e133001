"""Imports this package from its source files only: cached byte code is neither read nor written.

Python matches byte code to its source by size and time stamp, and both can be forged or agree by chance; a hash of the source would
then vouch for code that does not run. So a finder in front of Python's own compiles each module of `atb` from the bytes of its
`.py` file and keeps those bytes. Compiling what a runner loads (19,000 lines) takes 0.15 s; loading byte code takes 0.01 s. Byte
code whose header carries the hash of the source would prove nothing either: whoever writes the byte code writes the header.

- An extension module beside a source is ignored; one without a source is refused, like byte code without a source.
- A runner compiles this module from bytes whose hash it has compared, and calls `seal` and then `begin` before it imports anything
  else of `atb`: only code that the manifests pin can run.
- `seal` keeps the pinned bytes in memory. Later imports use them, whatever happens to the files (an update under a running
  runner, say), and a module that is not pinned cannot be imported.

Other packages are loaded as Python does: their versions are pinned, and write access to them is up to the environment's owner.
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
    """A module of the package has no source, or the promotion does not pin it."""


class SourceLoader(SourceFileLoader):
    """Compiles a module from its source at every import."""

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 - importlib's signature
        """Return the code of the sealed source, or of the file if nothing is sealed."""
        source = self.get_data(self.path)
        _executed[os.path.realpath(self.path)] = source
        code: CodeType = self.source_to_code(source, self.path)
        return code

    def get_data(self, path: str) -> bytes:
        """Return the sealed bytes of a file, or the file's own."""
        kept = _sealed.get(os.path.realpath(path)) if _sealed else None
        return super().get_data(path) if kept is None else kept


class SourceFinder:
    """Finds the package's modules by their source files."""

    @staticmethod
    def find_spec(
        fullname: str,
        path: "Sequence[str] | None" = None,
        target: ModuleType | None = None,  # noqa: ARG004 - importlib's signature
    ) -> ModuleSpec | None:
        """Return the spec of a module of the package; None for other packages and for names that do not exist.

        Raises
        ------
        ForeignModuleError
            If something other than a source file would be loaded, or the module is not sealed.
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
    """Put the finder before Python's own; calling it again changes nothing."""
    if not any(isinstance(finder, SourceFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, SourceFinder())


def begin() -> None:
    """Load the package from its sources, in a process that has imported only this module, and that from its source.

    The process ensures that with a loader that overrides `SourceFileLoader.get_code`, as `SourceLoader` does.
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
    """Return the source bytes of every imported module of the package, by real path."""
    return dict(_executed)


def unexplained() -> list[str]:
    """Return the imported modules of the package that were not loaded by this module."""
    mine = [(name, module) for name, module in sys.modules.items() if name.partition(".")[0] == PACKAGE]
    return sorted(name for name, module in mine if os.path.realpath(str(module.__file__)) not in _executed)


def seal(files: "Mapping[Path, bytes]") -> None:
    """Restrict imports of the package to these files, read from these bytes; further calls add files."""
    _sealed.update({os.path.realpath(path): content for path, content in files.items()})


def is_sealed() -> bool:
    """Return True if only sealed files can be imported."""
    return bool(_sealed)

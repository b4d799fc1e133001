"""`atb doctor`: checks of the environment, each ok, warning or error, with what to do."""

import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from atb.checks import Check
from atb.cli.commands import Command
from atb.cli.output import json_option, print_check, print_json
from atb.decimals import counted
from atb.errors import AtbError, ConfigError, SetupError

if TYPE_CHECKING:
    from atb.config import Settings
    from atb.config.exposed import Exposed

DISTRIBUTION = "atb-workbench"
TIMEOUT_MS = 5_000  # of the request to the exchange
# Exchanges refuse requests whose time stamp is one second ahead of theirs.
CLOCK_WARNING_MS, CLOCK_ERROR_MS = 500, 1_000
GIB = 1 << 30
ROOM_WARNING, ROOM_ERROR = 2.0, 0.2  # GiB that should be free, and must be
_PIN = re.compile(r"^[A-Za-z0-9._-]+==")
_SETUP = "Run `make setup`"


@click.command(cls=Command)
@json_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Check versions, folders, database, kernel, notebooks and the exchange; exit 1 if anything is an error.

    \b
    Examples:
      atb doctor
      atb doctor --json
    """
    checks = []
    for check in check_all():
        checks.append(check)
        if not as_json:
            print_check(check)
    errors = sum(check.status == "error" for check in checks)
    warnings = sum(check.status == "warning" for check in checks)
    if as_json:
        print_json({"healthy": not errors, "checks": [asdict(check) for check in checks]})
    else:
        click.echo(f"\n{counted(len(checks), 'check')}: {counted(errors, 'error')}, {counted(warnings, 'warning')}.")
    ctx.exit(1 if errors else 0)


def check_all() -> Iterator[Check]:
    """Run every check, cheapest first; a failed one never keeps the others from running."""
    from atb.config import find_project, load_settings

    yield check_python()
    yield from check_packages(find_project() / "requirements.lock")
    yield check_vectorbt()
    yield check_byte_code()
    try:
        settings = load_settings()
    except ConfigError as error:
        yield Check("settings", "error", str(error), "Correct the settings; `atb config show` lists them")
        return
    yield Check("settings", "ok", f"project {settings.project}")
    yield from check_folders(settings)
    yield check_disk(settings.data.root)
    yield check_database(settings.database.url)
    yield from check_keys(settings)
    yield from check_private(settings)
    yield from check_strategies(settings)
    yield check_kernel()
    yield check_jupyter()
    yield check_exchange(settings)


def check_python() -> Check:
    """Compare the interpreter's version with the one atb requires."""
    from packaging.specifiers import SpecifierSet

    found = f"{platform.python_version()} at {sys.executable}"
    wanted = metadata.metadata(DISTRIBUTION)["Requires-Python"] if _version(DISTRIBUTION) else None
    if wanted is None or SpecifierSet(wanted).contains(platform.python_version(), prereleases=True):
        return Check("python", "ok", found)
    todo = "Install a Python that is, then `make clean setup PYTHON=/path/to/it`"
    return Check("python", "error", f"{found} is not {wanted}", todo)


def check_packages(lock: Path) -> list[Check]:
    """Compare what is installed with what atb requires and with the lock file, if there is one."""
    try:
        required = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return [Check("packages", "error", f"{DISTRIBUTION} is not installed", _SETUP)]
    broken = [_unmet(*wanted) for wanted in _wanted(required)]
    problems = [check for check in broken if check is not None]
    drifted = _drift(lock) if lock.is_file() else []
    if drifted:
        shown = ", ".join(drifted[:4]) + (f" and {len(drifted) - 4} more" if len(drifted) > 4 else "")
        problems.append(Check("lock file", "warning", f"not as locked: {shown}", f"{_SETUP} to get what was tested"))
    return problems or [Check("packages", "ok", f"{len(required)} requirements are met")]


def _wanted(required: list[str]) -> Iterator[tuple[str, str, str]]:
    """Yield name, version range and extra of each requirement that applies to this platform."""
    from packaging.requirements import Requirement

    for text in required:
        requirement = Requirement(text)
        extra = re.search(r"extra == ['\"]([^'\"]+)", str(requirement.marker or ""))
        name = extra[1] if extra else ""
        if requirement.marker is None or requirement.marker.evaluate({"extra": name}):
            yield requirement.name, str(requirement.specifier), name


def _unmet(name: str, versions: str, extra: str) -> Check | None:
    """Return the check of one unmet requirement: an error if atb itself needs it, a warning if an extra does."""
    from packaging.specifiers import SpecifierSet

    installed = _version(name)
    if installed is not None and SpecifierSet(versions).contains(installed, prereleases=True):
        return None
    found = "is missing" if installed is None else f"{installed} is installed, {versions} is required"
    use = f" (extra {extra!r})" if extra else ""
    return Check(f"package {name}", "warning" if extra else "error", f"{found}{use}", _SETUP)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _drift(lock: Path) -> list[str]:
    """Return `name installed, not locked` for each installed package whose version is not the locked one."""
    from packaging.requirements import Requirement

    lines = [line.rstrip(" \\") for line in lock.read_text(encoding="utf-8").splitlines() if _PIN.match(line)]
    pins = [pin for pin in map(Requirement, lines) if pin.marker is None or pin.marker.evaluate()]
    installed = [(pin, _version(pin.name)) for pin in pins]
    return [f"{pin.name} {has}, not {pin.specifier}" for pin, has in installed if has and has not in pin.specifier]


def check_vectorbt() -> Check:
    """Check that vectorbt and its Rust engine are one version: mixed ones compute different things."""
    versions = {name: _version(name) for name in ("vectorbt", "vectorbt-rust")}
    found = ", ".join(f"{name} {version or 'is missing'}" for name, version in versions.items())
    if None in versions.values():
        return Check("vectorbt", "warning", found, f"{_SETUP}; research needs both, the runner neither")
    if len(set(versions.values())) > 1:
        return Check("vectorbt", "error", found, "Install the same version of both; `make setup` does")
    return Check("vectorbt", "ok", found)


def check_byte_code() -> Check:
    """Check that Python keeps its byte code: without it every start compiles every package again."""
    if not sys.dont_write_bytecode:
        return Check("byte code", "ok", "is kept")
    todo = "Unset PYTHONDONTWRITEBYTECODE: every start is slow with it"
    return Check("byte code", "warning", "is not kept between starts", todo)


def check_folders(settings: "Settings") -> list[Check]:
    """Check, by writing a file, that every folder atb writes to can be written or made."""
    folders = (settings.data.root, settings.bars_root, settings.runs_root, settings.cache_root)
    places = dict.fromkeys((*folders, settings.models_root, settings.promoted_root))
    problems = [check for folder in places if (check := _refused(folder)) is not None]
    return problems or [Check("folders", "ok", f"{len(places)} folders can be written, data in {settings.data.root}")]


def check_disk(root: Path) -> Check:
    """Check that the disk of the data folder has room: a runner whose journal cannot be written stops trading."""
    existing = next(place for place in (root, *root.parents) if place.exists())
    free = shutil.disk_usage(existing).free
    found = f"{free / GIB:,.1f} GiB free at {existing}"
    if free >= ROOM_WARNING * GIB:
        return Check("disk", "ok", found)
    status: Literal["warning", "error"] = "warning" if free >= ROOM_ERROR * GIB else "error"
    return Check("disk", status, found, "Free some space: the journal needs it", wanted=f"{ROOM_WARNING:g} GiB")


def _refused(folder: Path) -> Check | None:
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    if not existing.is_dir():
        return Check(f"folder {folder}", "error", f"{existing} is a file", "Move the file, or choose another data.root")
    try:
        # Permission bits lie to an administrator and on network drives: only writing tells.
        with tempfile.TemporaryFile(dir=existing):
            return None
    except OSError as error:
        todo = "Make it writable, or choose another data.root"
        return Check(f"folder {folder}", "error", f"{existing} cannot be written: {error.strerror}", todo)


def check_keys(settings: "Settings") -> list[Check]:
    """Check the signing keys, and the list of those trusted with real money."""
    from atb.files import exposure
    from atb.promotion.signing import PRIVATE, PUBLIC
    from atb.promotion.trust import FILE, check_place, trusted

    roots = (settings.keys_root, settings.trust_root)
    wrongs = [(root / PRIVATE, exposure(root / PRIVATE)) for root in roots]
    problems = [Check(f"key {path}", "error", *wrong) for path, wrong in wrongs if wrong is not None]
    strays = [str(path) for root in roots for path in sorted(root.glob("*.pub")) if path.name != PUBLIC]
    if strays:
        todo = "Remove them, or trust a key on purpose: atb keys trust FILE"
        problems.append(Check("keys", "warning", f"files that are no trust: {', '.join(strays)}", todo))
    try:
        check_place(settings.trust_root, settings.data.root)
        known = trusted(settings.trust_root)
    except AtbError as error:
        return [*problems, Check("trusted keys", "error", error.wrong, error.todo)]
    found = f"{len(known)} trusted with real money, in {settings.trust_root / FILE}"
    return problems or [Check("keys", "ok", found if known else "none is trusted with real money")]


def check_database(url: str) -> Check:
    """Open the database and compare its schema with this code's; a missing one is not made."""
    from atb.redaction.addresses import mask_url

    try:
        from atb.db import open_database
        from atb.db.database import sqlite_file
    except ImportError as error:
        return Check("database", "error", f"its code cannot be loaded: {error}", _SETUP)
    try:
        file = sqlite_file(url)
        if file is not None and (existing := next(place for place in (file, *file.parents) if place.exists())) != file:
            if existing.is_dir():
                return Check("database", "ok", f"{file} will be made at first use")
            raise SetupError(
                f"{existing} is a file, and the database would lie in it", todo="Move it, or name another place"
            )
        open_database(url, migrate=False).close()
    except AtbError as error:
        return Check("database", "error", error.wrong, error.todo)
    return Check("database", "ok", f"{mask_url(url)} is reachable, its schema current")


def check_private(settings: "Settings") -> list[Check]:
    """Check that other users cannot read or change `.env`, `atb.toml`, the database and the data folder."""
    from atb.config.exposed import exposed, exposed_files

    database = None
    with suppress(ImportError, SetupError):  # which `check_database` tells of
        from atb.db.database import sqlite_file

        database = sqlite_file(settings.database.url)
    journal = [] if database is None else [database, Path(f"{database}-wal")]
    problems = [_private(file, "error") for file in exposed_files(settings)]
    problems += [_private(file, "warning") for file in exposed(journal)]
    folders = {"data": settings.data.root, "manifests": settings.promoted_root, "models": settings.models_root}
    problems += [
        Check(f"private {name}", "error", f"{root} can be written by others", f"chmod go-w {root}")
        for name, root in folders.items()
        if root.is_dir() and root.stat().st_mode & 0o022 and not root.stat().st_mode & 0o1000
    ]
    return problems or [Check("private files", "ok", "no other user can read .env, or change what is recorded")]


def _private(file: "Exposed", status: Literal["warning", "error"]) -> Check:
    return Check(f"private {file.path.name}", status, f"{file.path} {file.fault}", file.todo)


def check_strategies(settings: "Settings") -> list[Check]:
    """Load every file in the folder of your own strategies, and name each that cannot be used."""
    from atb.workbench.own import own_strategies

    found = own_strategies(settings)
    broken = [Check(f"strategy {one.name}", "warning", one.fault, f"Correct {one.path}") for one in found if one.fault]
    whole = f"{len(found) - len(broken)} of your own in {settings.strategies_root}"
    return [*broken, Check("strategies", "ok", whole)]


def check_kernel() -> Check:
    """Check that this kernel is compiled on disk."""
    try:
        from atb.engine.cache import is_compiled, kernel_hash
    except ImportError as error:
        return Check("kernel", "error", f"it cannot be loaded: {error}", _SETUP)
    found = f"{kernel_hash()[:12]} is {'compiled' if is_compiled() else 'not compiled yet'}"
    if is_compiled():
        return Check("kernel", "ok", found)
    return Check("kernel", "warning", found, "Run `atb warmup`, or wait once at the first backtest")


def check_jupyter() -> Check:
    """Check that notebooks find the kernel `python3` and that its interpreter exists."""
    try:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    except ImportError:
        return Check("jupyter", "warning", "is missing (extra 'research')", _SETUP)
    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        return Check(
            "jupyter", "error", "there is no kernel named python3", "Run `python -m ipykernel install --sys-prefix`"
        )
    program = Path(spec.argv[0])
    if program.is_absolute() and not os.access(program, os.X_OK):
        todo = "Run `python -m ipykernel install --sys-prefix`"
        return Check("jupyter", "error", f"the kernel python3 starts {program}, which is not there", todo)
    return Check("jupyter", "ok", f"kernel python3 in {spec.resource_dir}")


def check_exchange(settings: "Settings", timeout_ms: int = TIMEOUT_MS) -> Check:
    """Ask the configured exchange for its time, and compare the clock here with it; being offline is only a warning."""
    import ccxt

    from atb.cli.routes import route_to
    from atb.data.providers.ccxt_client import CcxtClient

    name = f"exchange {settings.exchange.id}"
    if settings.exchange.id not in ccxt.exchanges:
        from atb.errors import did_you_mean

        near = did_you_mean(settings.exchange.id, ccxt.exchanges) if settings.exchange.id else ""
        return Check(name, "error", "ccxt does not know it", near if near.startswith("Did") else "See ccxt.exchanges")
    exchange = CcxtClient(settings.exchange.id, route=route_to(settings.exchange.id, settings)).exchange
    exchange.timeout = timeout_ms
    return _compare_clocks(name, exchange.fetch_time, ccxt.BaseError)


def _compare_clocks(name: str, fetch_time: Callable[[], int | None], failure: type[Exception]) -> Check:
    asked = time.time()
    try:
        theirs = fetch_time()
    except failure as error:
        reason = f"did not answer: {type(error).__name__}"
        return Check(name, "warning", reason, "Check the network; research on stored bars works without it")
    answered = time.time()
    if theirs is None:
        return Check(name, "warning", "answered without its time", "Compare this clock with another source")
    offset = (asked + answered) * 500 - theirs
    found = f"answered in {(answered - asked) * 1_000:.0f} ms; this clock is {offset:+.0f} ms off"
    # Half of the round trip cannot be distinguished from an offset.
    sure = max(0.0, abs(offset) - (answered - asked) * 500)
    if sure > CLOCK_ERROR_MS:
        return Check(name, "error", found, "Synchronise the clock (NTP): the exchange will refuse orders")
    if sure > CLOCK_WARNING_MS:
        return Check(name, "warning", found, "Synchronise the clock (NTP)")
    return Check(name, "ok", found)

"""From settings to the parts of a runner: portfolio, breakers, telemetry, venue, and the gates before real money."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from atb.domain import Timer
from atb.errors import ConfigError, PromotionError
from atb.live.execution.timing import DeskTiming
from atb.live.feed.inputs import CatalogueEvents
from atb.live.feed.timer import PacedTimer, SteppedTimer, SystemTimer
from atb.live.journal.breakers import Breakers
from atb.live.portfolio import Portfolio
from atb.live.recheck import Recheck
from atb.live.runner import RunnerContext, VenueContext
from atb.live.telemetry import Telemetry
from atb.monitoring import get_logger

if TYPE_CHECKING:
    from atb.config.settings import Settings
    from atb.promotion.manifest import Manifest

_log = get_logger(__name__)


def load_portfolio(paths: Sequence[Path], settings: "Settings", *, seal: bool = False) -> Portfolio:
    """Read and verify manifests and what they pin: a changed byte refuses.

    Parameters
    ----------
    seal
        Whether this process may from now on run only what the manifests pin, as a runner must.

    Raises
    ------
    InputError, PromotionError
        If one cannot be read, something it pins has changed, or they cannot share an account.
    """
    from atb.config.own import mount_folder
    from atb.live.plan import make_plan
    from atb.promotion import provenance

    mount_folder(settings)
    manifests = [_verified(path, settings) for path in paths]
    if seal:
        for manifest in manifests:
            provenance.seal(manifest.sources)
    return Portfolio(tuple(make_plan(manifest, settings.models_root) for manifest in manifests))


def _verified(path: Path, settings: "Settings") -> "Manifest":
    from atb.promotion.manifest import load_manifest, verify
    from atb.promotion.trust import check_place

    check_place(settings.trust_root, settings.data.root)
    manifest = load_manifest(path)
    roots = {"keys_root": settings.keys_root, "trust_root": settings.trust_root}
    for warning in verify(manifest, models_root=settings.models_root, **roots):
        _log.warning(warning)
    return manifest


def check_secrets(settings: "Settings", *, live: bool) -> None:
    """Refuse real money while other users can read or change what holds secrets; on paper, warn of it.

    Raises
    ------
    ConfigError
        Naming the file, what is wrong with it and the command that mends it.
    """
    from atb.config.exposed import exposed, exposed_files
    from atb.promotion.signing import PRIVATE

    keys = dict.fromkeys(root / PRIVATE for root in (settings.keys_root, settings.trust_root))
    for path, fault, todo in (*exposed_files(settings), *exposed(list(keys))):
        if live:
            raise ConfigError(f"Real money waits for safe files: {path.name} {fault}", found=str(path), todo=todo)
        _log.warning("a file with secrets is not safe", file=str(path), fault=fault, todo=todo)


def recheck(paths: Sequence[Path], settings: "Settings") -> Recheck:
    """Return the check that verifies the manifests, and all that they pin, again while they trade."""
    from atb.promotion.manifest import load_manifest

    known = {path: load_manifest(path).content_sha256 for path in paths}

    def check() -> None:
        for path, content_sha256 in known.items():
            if _verified(path, settings).content_sha256 != content_sha256:
                raise PromotionError("The manifest was replaced after the start", found=str(path))

    return Recheck(check, settings.live.recheck_interval)


def patience(settings: "Settings") -> float:
    """Return the longest wait of one statement for the database (seconds); a few of them fit into the grace."""
    from atb.db.database import BUSY_SECONDS

    return min(float(BUSY_SECONDS), settings.live.database_grace / 4)


def breakers(settings: "Settings") -> Breakers:
    """Return the settings' limits on what may be sent, whatever the strategies ask for."""
    live = settings.live
    return Breakers(
        orders_per_minute=live.orders_per_minute,
        entries_per_bar=live.entries_per_bar,
        turnover_per_day=live.turnover_per_day,
        largest_order=live.max_notional,
        largest_share=live.max_share,
    )


def make_telemetry(settings: "Settings") -> Telemetry:
    """Return the runner's telemetry, with metrics where the settings want them."""
    from atb.monitoring.metrics import Metrics

    wanted = settings.live.health_port is not None and settings.live.metrics
    return Telemetry(metrics=Metrics() if wanted else None)


def max_loss(settings: "Settings", *, live: bool) -> float | None:
    """Return the largest loss of real money (quote); None on paper and where the settings have none."""
    loss = settings.live.max_loss if live else None
    return None if loss is None else float(loss)


@contextmanager
def health_page(settings: "Settings", telemetry: Telemetry) -> Iterator[None]:
    """Serve the health page for the length of a block, where the settings have a port for it."""
    from atb.monitoring.health import Health

    live = settings.live
    if live.health_port is None:
        yield
        return
    page = Health(
        telemetry.vitals, telemetry.metrics, host=live.health_host, port=live.health_port, public=live.health_public
    )
    page.start()
    _log.info("health page", address=page.address)
    try:
        yield
    finally:
        page.close()


async def _timer(url: str | None, *, orders: bool) -> SystemTimer | SteppedTimer | PacedTimer:
    """Return the machine's clock, or a simulated exchange's; for orders it must not run faster than ours."""
    if url is None:
        return SystemTimer()
    stepped = SteppedTimer(url)
    await stepped.open()
    paced = stepped.paced()
    if paced is None:
        return stepped
    await stepped.close()
    if orders and paced.speed > 1:
        raise ConfigError(
            "The exchange's clock is faster than ours, which leaves no time to send orders", found=f"{paced.speed:g} times as fast",
            todo="Start the exchange with --clock virtual, or trade on paper: --candles",
        )  # fmt: skip
    return paced


def _tick_ms(timer: Timer) -> int | None:
    """Return one second of this machine in the timer's time; None where waiting takes no real time."""
    if isinstance(timer, SteppedTimer):
        return None
    return int(1_000 * timer.speed) if isinstance(timer, PacedTimer) else 1_000


def _compare_ms(settings: "Settings", portfolio: Portfolio) -> int:
    """Return the exchange time between two comparisons; with a simulator's clock one bar, unless the settings name another."""
    live = settings.live
    if settings.exchange.clock is not None and "sync_interval" not in live.model_fields_set:
        return 1_000 * min(plan.timeframe.seconds for plan in portfolio.plans)
    return int(live.sync_interval * 1_000)


@asynccontextmanager
async def venue(
    settings: "Settings",
    portfolio: Portfolio,
    *,
    simulated: bool,
    orders: bool = True,
    until: str | None = None,
    accept: bool = False,
) -> AsyncIterator[VenueContext]:
    """Open the settings' exchange with its clock for the length of a block; it is not connected yet.

    On a simulator's clock a stream of bars is silent for the length of a bar; that does not count as a lost stream.

    Parameters
    ----------
    simulated
        Whether it must be a simulator with a clock of its own; otherwise it must have none.
    orders
        Whether orders will be sent there; a clock faster than ours is refused then.
    until
        End of trading, None where there is none.
    accept
        Whether what the account has beyond the books is ignored from now on.

    Raises
    ------
    ConfigError
        If the settings name a simulator's clock without `simulated`, or the other way round.
    """
    from atb.times import in_ms, moment
    from atb.venues.broker import Access, connect

    chosen, live = settings.exchange, settings.live
    if simulated != (chosen.clock is not None):
        wrong = "A rehearsal needs a simulated exchange" if simulated else "A simulated exchange is for rehearsals"
        todo = "Set exchange.clock and exchange.base_url to one: atb exchange --help" if simulated else "Add --rehearse"
        raise ConfigError(wrong, found=f"exchange.clock={chosen.clock}", todo=todo)
    timer = await _timer(chosen.clock, orders=orders)
    key, secret = chosen.api_key, chosen.api_secret
    access = Access(
        id=chosen.id,
        api_key=key.get_secret_value() if key else "",
        secret=secret.get_secret_value() if secret else "",
        base_url=chosen.base_url,
        proxy=chosen.proxy,
        ca_file=chosen.ca_file,
        timeout_s=chosen.timeout,
        recv_window_ms=chosen.recv_window_ms,
        order_entry=chosen.order_entry if orders else "rest",
        frame_gap_ms=1_000 * max(plan.timeframe.seconds for plan in portfolio.plans) if chosen.clock else 10_000,
    )
    broker = connect(access, timer)
    end = moment(until)
    try:
        yield VenueContext(
            broker,
            timer,
            DeskTiming(entry_grace_ms=int(live.entry_grace * 1_000)),
            compare_ms=_compare_ms(settings, portfolio),
            tolerance=live.drift_tolerance,
            tick_ms=_tick_ms(timer),
            until_ms=None if end is None else in_ms(end),
            accept=accept,
            events=CatalogueEvents(settings.bars_root, venue=portfolio.plans[0].manifest.venue or None),
        )
    finally:
        await broker.close()
        await timer.close()


def arm(portfolio: Portfolio, settings: "Settings", context: RunnerContext, *, live: bool, typed: str | None) -> None:
    """Pass the gates before real money that need no exchange: manifests, account, acknowledgement. Paper always passes.

    Raises
    ------
    InputError, ConfigError, PromotionError
        Naming the gate that failed.
    """
    from atb.live.acknowledgement import StartRequest, person
    from atb.live.acknowledgement import arm as acknowledge

    modes = [plan.manifest.mode for plan in portfolio.plans]
    asked = StartRequest(account=context.account, modes=modes, live=live, typed=typed, ask=person())
    acknowledge(context.database, settings, asked)


async def inspect(portfolio: Portfolio, settings: "Settings", *, context: RunnerContext, venue: VenueContext) -> None:
    """Pass the gates that the exchange has to answer for.

    Raises
    ------
    SetupError
        With every check that failed.
    InputError
        If there is no session to take over, or the account holds positions of other manifests.
    """
    from atb.live.preflight import AccountState, preflight

    await venue.broker.open(portfolio.read_symbols)
    now_ms = SystemTimer().now_ms()
    situation = AccountState.read(
        context.database, settings, portfolio, account=context.account, now_ms=now_ms, adopt=context.adopt
    )
    checks = await preflight(venue.broker, portfolio, settings, clock=venue.timer, situation=situation)
    _log.info("checked before the first order", checks=checks.to_json())
    checks.require()

"""A kernel sweep on a Dask cluster: rectangles of strategies by policies as tasks, each row with the bits of a local sweep.

Bars and strategies travel with the task, so workers need no data; what computes must be the same, so each task compares the hash of
the code. Every row of a sweep comes from its own sums: where it was computed does not show in it.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from atb.backtest.sweeping import Sweep, joined, sweep
from atb.engine.policy import AccountPolicy, RiskPolicy
from atb.engine.slot import Slot
from atb.errors import RunError, SetupError
from atb.experiments.batch.cluster import connected

if TYPE_CHECKING:
    import pandas as pd

    from atb.domain import Strategy

BAR_RUNS = 200_000_000  # bars times combinations in one task: about a second
Rectangle = tuple[range, range]


def sweep_on_cluster(
    slots: Sequence[Slot],
    *,
    strategies: "Sequence[Strategy]",
    policies: Sequence[RiskPolicy],
    account: AccountPolicy,
    start: "pd.Timestamp | None",
    scheduler: str,
    progress: Callable[[int, int], None] | None = None,
) -> Sweep:
    """Sweep as `atb.backtest.sweep` does, on the workers of a scheduler.

    Raises
    ------
    InputError, SetupError
        As `atb.experiments.batch.cluster.connected`; or if a worker has another code.
    """
    from distributed import as_completed

    from atb.config import load_settings
    from atb.experiments.identity import code_sha256

    code, total = code_sha256(load_settings()), len(strategies) * len(policies)
    tables: dict[Rectangle, Any] = {}
    with connected(scheduler) as client:
        shared = client.scatter(tuple(slots), broadcast=True)  # type: ignore[no-untyped-call]
        futures = {
            client.submit(
                sweep_part,
                shared,
                [strategies[k] for k in columns],
                [policies[k] for k in rows],
                account,
                start,
                code,
                pure=False,
            ): (columns, rows)
            for columns, rows in rectangles(len(strategies), len(policies), bars=sum(len(slot.bars) for slot in slots))
        }
        complete = True
        try:
            for future in as_completed(list(futures), loop=client.loop):  # type: ignore[no-untyped-call]
                tables[futures[future]] = future.result()
                if progress is not None:
                    progress(sum(len(columns) * len(rows) for columns, rows in tables), total)
        except KeyboardInterrupt:
            client.cancel(list(futures), force=True)  # type: ignore[no-untyped-call]
            complete = False
        except RunError:  # the time limit of whoever asked
            client.cancel(list(futures), force=True)  # type: ignore[no-untyped-call]
            raise
    return joined(tuple(slots), strategies, policies, tables=tables, account=account, start=start, complete=complete)


def rectangles(strategies: int, policies: int, *, bars: int) -> list[Rectangle]:
    """Return parts of the grid, each of about a second: whole strategies where they fit, since their signals are shared."""
    most = max(1, BAR_RUNS // max(1, bars))
    high = min(policies, most)
    wide = max(1, min(strategies, most // high))
    return [
        (range(left, min(left + wide, strategies)), range(top, min(top + high, policies)))
        for left in range(0, strategies, wide)
        for top in range(0, policies, high)
    ]


def sweep_part(  # noqa: PLR0917 - Dask finds scattered data in positional arguments
    slots: tuple[Slot, ...],
    strategies: "list[Strategy]",
    policies: list[RiskPolicy],
    account: AccountPolicy,
    start: Any,
    code: str,
) -> "pd.DataFrame":
    """Return the table of a part of the grid, computed by this worker.

    Raises
    ------
    SetupError
        If this worker's code is not the client's.
    """
    from atb.config import load_settings
    from atb.experiments.identity import code_sha256

    if code_sha256(load_settings()) != code:
        raise SetupError(
            "A worker has another version of atb, of a package, or of your own strategies",
            todo="Bring both to the same commit, and start the worker again",
        )
    return sweep(slots, strategies=strategies, policies=policies, account=account, start=start, workers=1).table

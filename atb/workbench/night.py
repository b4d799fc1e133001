"""The night on one page: stored bars, recorded runs, runners, and whatever needs a person."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from atb.config import load_settings
from atb.domain.bars import SYNTHETIC

if TYPE_CHECKING:
    import pandas as pd

    from atb.data.catalogue.verification import SeriesInfo
    from atb.db.tables import RunRow

LATE_BARS = 3  # a series this many bars behind needs a download
MOST_RUNS = 10_000


@dataclass(frozen=True)
class Nightly:
    """The state at one moment.

    Parameters
    ----------
    moment
        When it was looked at, UTC.
    since
        From when on runs are counted.
    series
        Every stored series.
    runs
        Recorded runs that began since.
    sessions
        As `atb status --json` lists them.
    """

    moment: datetime
    since: datetime
    series: "Sequence[SeriesInfo]"
    runs: "Sequence[RunRow]"
    sessions: Sequence[dict[str, Any]]

    @cached_property
    def data_table(self) -> "pd.DataFrame":
        """One row per stored series: the newest bar, how many bars it is behind, gaps, and a damaged file."""
        import pandas as pd

        rows = [
            {
                "series": f"{each.symbol} {each.timeframe} {each.venue}",
                "bars": each.bars,
                "last open": "" if each.last is None else f"{each.last:%Y-%m-%d %H:%M}",
                "bars behind": self._behind(each),
                "gaps": len(each.gaps),
                "problem": each.problem,
            }
            for each in self.series
        ]
        return pd.DataFrame(rows, columns=["series", "bars", "last open", "bars behind", "gaps", "problem"]).set_index(
            "series"
        )

    @cached_property
    def runs_table(self) -> "pd.DataFrame":
        """One row per notebook: its runs since, by how they ended, and their time in seconds."""
        import pandas as pd

        rows = [{"notebook": run.notebook, "status": run.status, "seconds": run.seconds or 0.0} for run in self.runs]
        table = pd.DataFrame(rows, columns=["notebook", "status", "seconds"])
        counts = table.groupby(["notebook", "status"]).size().unstack(fill_value=0)
        for status in ("succeeded", "failed", "interrupted", "running"):
            counts[status] = counts.get(status, 0)
        counts = counts[["succeeded", "failed", "interrupted", "running"]]
        return counts.assign(seconds=table.groupby("notebook")["seconds"].sum().round(1))

    @cached_property
    def findings(self) -> list[str]:
        """Whatever needs a person, a sentence each, the gravest first."""
        found = [f"The runner of {row['account']} is {row['state']}: start it again" for row in self.sessions
                 if row["state"] in {"stale", "halted"}]  # fmt: skip
        found += [
            f"{each.symbol} {each.timeframe} {each.venue} is damaged: {each.problem}"
            for each in self.series
            if each.problem
        ]
        late = [
            f"{each.symbol} {each.timeframe} {each.venue}" for each in self.series if self._behind(each) > LATE_BARS
        ]
        if late:
            found.append(
                f"Bars are missing at the end of {', '.join(late[:6])}{' and more' * (len(late) > 6)}: download them"
            )
        failed = [run for run in self.runs if run.status == "failed"]
        found += [f"{run.notebook} failed ({run.run_id}): {run.error}" for run in failed[:10]]
        if len(failed) > 10:
            found.append(f"{len(failed) - 10} more runs failed: atb runs --status failed")
        return found

    @property
    def headline(self) -> str:
        """The night in a sentence."""
        failed = sum(run.status == "failed" for run in self.runs)
        working = sum(row["state"] == "running" for row in self.sessions)
        return (
            f"{len(self.series)} series, {len(self.runs)} runs since {self.since:%Y-%m-%d %H:%M} UTC of which {failed} failed, "
            f"{working} runners at work: {len(self.findings) or 'nothing'} to look at"
        )

    def metrics(self) -> dict[str, int]:
        """Return the counts to publish."""
        return {
            "series": len(self.series),
            "runs": len(self.runs),
            "failed_runs": sum(run.status == "failed" for run in self.runs),
            "runners": sum(row["state"] == "running" for row in self.sessions),
            "findings": len(self.findings),
        }

    def _behind(self, series: "SeriesInfo") -> int:
        """Return how many closed bars are missing at the end; 0 for a synthetic market, which has no present."""
        if series.last is None or series.venue == SYNTHETIC:
            return 0
        seconds = (self.moment - series.last.to_pydatetime()).total_seconds()
        return max(0, int(seconds // series.timeframe.seconds) - 1)


def nightly(hours: int = 24, *, moment: datetime | None = None) -> Nightly:
    """Return the state of the last `hours` before `moment`, by default now."""
    from atb.data.catalogue.verification import list_series
    from atb.db import open_to_read
    from atb.experiments.registry import Wanted, list_runs
    from atb.live.journal.overview import sessions

    settings = load_settings()
    moment = moment or datetime.now(UTC)
    since = moment - timedelta(hours=hours)
    database = open_to_read(settings.database.url)
    try:
        runs = list_runs(database, MOST_RUNS, wanted=Wanted(since=since))
        found = sessions(database)
    finally:
        database.close()
    return Nightly(moment, since, list_series(settings.bars_root), runs, found)

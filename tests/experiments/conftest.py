"""The synthetic market, as the workbench's tests have it."""

from tests.experiments.batch.conftest import world
from tests.workbench.conftest import sample, stocked

__all__ = ["sample", "stocked", "world"]

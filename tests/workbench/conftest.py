"""A catalogue with the synthetic market, written once."""

import shutil
from pathlib import Path

import pytest

from atb.data.providers.sample import write_sample


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with the synthetic market, to be copied."""
    root = tmp_path_factory.mktemp("sample")
    write_sample(root=root / "bars")
    return root


@pytest.fixture
def stocked(sample: Path, tmp_path: Path) -> Path:
    """The test's own root, with the synthetic market in its catalogue."""
    shutil.copytree(sample / "bars", tmp_path / "bars")
    return tmp_path

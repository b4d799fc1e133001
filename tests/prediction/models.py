"""Models trained once on the synthetic market, and bundles of them."""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from atb.data.providers.sample import sample_bars
from atb.domain import Bars
from atb.prediction.bundle import save_bundle
from atb.prediction.evaluation import Evaluation, evaluate
from atb.prediction.export import Parity, check_parity, to_onnx
from atb.prediction.recipes import Recipe, Trained, train


@cache
def market() -> tuple[Bars, ...]:
    return sample_bars()


@cache
def trained(kind: str = "logistic", which: int = 0) -> Trained:
    """Return a model of BTC/USDT (which=0) or ETH/USDT (which=1)."""
    return train(market()[which], Recipe(model=kind))


@cache
def exported(kind: str = "logistic", which: int = 0) -> tuple[bytes, Parity, Evaluation]:
    model = to_onnx(trained(kind, which))
    return model, check_parity(trained(kind, which), model), evaluate(trained(kind, which), model)


def saved(kind: str, root: Path, *, which: int = 0, now: datetime = datetime(2025, 1, 1, tzinfo=UTC)) -> Path:
    model, parity, evaluation = exported(kind, which)
    return save_bundle(trained(kind, which), evaluation, model=model, parity=parity, root=root, now=now)

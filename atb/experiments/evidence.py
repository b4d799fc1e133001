"""Evidence of one backtest result: parity, columns, models. Typed for the gate and the reader, JSON in a published result."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Self

from atb.checks import Check, Status
from atb.decimals import counted
from atb.domain.bars import FEW
from atb.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from atb.backtest import Result
    from atb.engine.slot import Slot
    from atb.prediction.predictor import OnnxPredictor
    from atb.validation.parity import ParityReport
    from atb.validation.windows import Checked, WindowsReport

PARITY_BARS = 10_000  # last bars on which every backtest is proven; a longer one is not proven on all its bars
CHECKED_BARS = (
    10_000  # bars, over all slots, whose columns every backtest computes again; of more bars a sample is drawn
)
# A run of a million bars is not to wait longer for its proofs than for itself: both are then of fewer bars. A sample of these still
# finds a fault in one bar of a thousand nine times in ten; what is promoted is computed again at every bar (the gate).
LONG_BARS, SAMPLED_BARS = 100_000, 2_500


@dataclass(frozen=True, slots=True)
class ModelEvidence:
    """Whether a result is out of sample for one model, and why.

    Parameters
    ----------
    verdict
        The model card's, in a sentence.
    last_bar_seen
        Open of the last bar used in training or validation, ISO 8601, UTC.
    bars_seen_before, bars
        How many of the traded bars the model had seen, and how many there are.
    out_of_sample
        Whether the first traded bar is later than `last_bar_seen`.
    """

    name: str
    version: str
    model_sha256: str
    beats_baselines: bool
    verdict: str
    last_bar_seen: str
    bars_seen_before: int
    out_of_sample: bool
    bars: int

    def __str__(self) -> str:
        """Return one sentence: the card's verdict, and how many traded bars were seen in training."""
        seen = f"it had seen {self.bars_seen_before:,} of the {counted(self.bars, 'traded bar')}"
        return f"{self.verdict.rstrip('.')}; {seen}"


@dataclass(frozen=True, slots=True)
class ResultEvidence:
    """Proofs of one backtest result.

    Parameters
    ----------
    parity
        Whether all ways of execution agree, and one report per slot on whether a runner would compute the same columns; a backtest
        longer than `PARITY_BARS` is proven over its last bars.
    models
        One entry per slot that predicts.
    synthetic
        Whether any of the bars were generated.
    bars_in_all
        Bars of the backtest, over all slots.
    """

    parity: "ParityReport"
    models: tuple[ModelEvidence, ...]
    synthetic: bool
    bars_in_all: int

    @property
    def columns(self) -> tuple["WindowsReport", ...]:
        """One report per slot: whether a runner would compute the same columns."""
        return self.parity.windows

    @property
    def columns_equal(self) -> bool | None:
        """Whether the columns of every bar were computed again and are equal; None if not every bar was checked."""
        from atb.validation.windows import all_of

        return all_of(report.everywhere for report in self.columns)

    @property
    def lookahead_clean(self) -> bool | None:
        """Whether no strategy looks ahead; None if that is not known."""
        from atb.validation.windows import all_of

        return all_of(report.lookahead_clean for report in self.columns)

    @property
    def out_of_sample(self) -> bool | None:
        """Whether every traded bar is out of sample for every model; None without a model."""
        return all(model.out_of_sample for model in self.models) if self.models else None

    def checks(self) -> list[Check]:
        """Return the proofs, a check each: parity of its orders, columns as a runner computes them, bars each model has seen."""
        parity = Check.of("Parity", self.parity.equal, self._compared(), wanted="every way equal to the kernel")
        columns = [_columns_check(report) for report in self.columns]
        if len(columns) > FEW and all(report.equal for report in self.columns):
            columns = [_columns_of_many(self.columns)]
        return [parity, *columns, *map(_model_check, self.models)]

    def sentences(self) -> list[str]:
        """Return the checks as sentences."""
        return [f"{check.name}: {check.found}" for check in self.checks()]

    def _compared(self) -> str:
        """Return in words what was compared in the proof of parity, and with what outcome."""
        parity = self.parity
        ways = ", ".join(f"{way} {'equal' if same else 'NOT EQUAL'}" for way, same in parity.ways.items())
        part = "" if parity.bars == self.bars_in_all else f"the last of {self.bars_in_all:,}, "
        without = f"; vectorbt does not support {', '.join(parity.left_out)}" if parity.left_out else ""
        bars = f"{counted(parity.orders, 'order')} over {counted(parity.bars, 'bar')}, {part}compared bit by bit with the kernel's"
        return f"{bars}: {ways}{without}"

    def to_json(self) -> dict[str, Any]:
        """Return the published form, plain values."""
        parity = {
            name: value for name, value in self.parity.to_json().items() if name != "columns"
        }  # they have their own key
        return {
            "parity": self.parity.equal,
            "columns_equal": self.columns_equal,
            "lookahead_clean": self.lookahead_clean,
            "synthetic": self.synthetic,
            "parity_report": parity | {"bars_in_all": self.bars_in_all},
            "columns_reports": [report.to_json() | {"verdict": str(report)} for report in self.columns],
            "model": [asdict(model) for model in self.models],
            "out_of_sample": self.out_of_sample,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` gave.

        Raises
        ------
        InputError
            If something is missing or has another form.
        """
        try:
            columns = tuple(_windows_report(report) for report in values["columns_reports"])
            models = tuple(ModelEvidence(**model) for model in values["model"])
            parity, bars_in_all = (
                _parity_report(values["parity_report"], columns),
                values["parity_report"]["bars_in_all"],
            )
            return cls(parity, models, values["synthetic"], bars_in_all)
        except (KeyError, TypeError, AttributeError) as error:
            wrong = f"The published evidence cannot be read ({type(error).__name__}: {error})"
            raise InputError(wrong, todo="Run the notebook again") from None


def _columns_check(report: "WindowsReport") -> Check:
    """Return whether a runner computes the columns of a slot; a warning if not every bar was computed again."""
    status: Status = "error" if report.equal is False else "ok" if report.everywhere else "warning"
    return Check("Columns", status, str(report), wanted="those of a runner, at every bar")


def _columns_of_many(reports: tuple["WindowsReport", ...]) -> Check:
    """Return one check for many slots whose columns are all equal."""
    checked, bars = sum(report.checked for report in reports), sum(report.bars for report in reports)
    share = f"{checked:,} of {counted(bars, 'bar')} of {counted(len(reports), 'slot')}"
    found = f"{share} computed again from the bars before each, as a runner does: equal"
    status: Status = "ok" if checked == bars else "warning"
    return Check("Columns", status, found, wanted="those of a runner, at every bar")


def _model_check(model: ModelEvidence) -> Check:
    held = model.beats_baselines and model.out_of_sample
    wanted = "it beats its baselines and had seen no traded bar"
    return Check(f"Model {model.name} {model.version}", "ok" if held else "warning", str(model), wanted=wanted)


def _windows_report(values: Mapping[str, Any]) -> "WindowsReport":
    from atb.validation.windows import WindowsReport

    return WindowsReport(**{field.name: values[field.name] for field in fields(WindowsReport)})


def _parity_report(values: Mapping[str, Any], columns: tuple["WindowsReport", ...]) -> "ParityReport":
    from atb.validation.parity import ParityReport

    plain = {name: values[name] for name in ("equal", "orders", "bars", "ways", "first_difference")}
    return ParityReport(**plain, left_out=tuple(values["left_out_for_vectorbt"]), windows=columns)


def evidence(
    result: "Result", *, checked_bars: int | None = None, parity_bars: int | None = None, seed: int = 7
) -> ResultEvidence:
    """Prove a result: parity of its orders, its columns as a runner computes them, and what its models had seen.

    Parameters
    ----------
    result
        The result of a backtest.
    checked_bars
        Number of bars, over all slots, whose columns are computed again as a runner does; a sample if there are more. By default
        `CHECKED_BARS`, and `SAMPLED_BARS` of more than `LONG_BARS`.
    parity_bars
        Number of last bars to execute in the slower ways. By default `PARITY_BARS`, and `SAMPLED_BARS` of more than `LONG_BARS`.
    seed
        Seed of the sample.
    """
    from atb.validation.windows import check_windows

    long = len(result.inputs.bar_columns.opened) > LONG_BARS
    most = (SAMPLED_BARS if long else CHECKED_BARS) if checked_bars is None else checked_bars
    last = (SAMPLED_BARS if long else PARITY_BARS) if parity_bars is None else parity_bars
    checked = check_windows(result.inputs, most=max(1, most // len(result.slots)), seed=seed)
    return ResultEvidence(
        _prove(result, last, checked),
        models_used(result),
        synthetic=any(bars.synthetic for bars in result.bars),
        bars_in_all=len(result.inputs.bar_columns.opened),
    )


def _prove(result: "Result", most: int, checked: "Sequence[Checked]") -> "ParityReport":
    from atb.engine.kernel_input import prepare
    from atb.validation.parity import prove_inputs

    problem = result.inputs
    if len(result.index) > most:
        problem = prepare(result.slots, problem.account, result.index[-most])
    return prove_inputs(problem, checked=checked)


def models_used(result: "Result") -> tuple[ModelEvidence, ...]:
    """Return the evidence of each slot's model; none where no slot predicts."""
    from atb.prediction.predictor import OnnxPredictor

    return tuple(
        _model_evidence(slot.predictor, slot, result.index[0])
        for slot in result.slots
        if isinstance(slot.predictor, OnnxPredictor)
    )


def _model_evidence(predictor: "OnnxPredictor", slot: "Slot", start: "pd.Timestamp") -> ModelEvidence:
    import pandas as pd

    card = predictor.bundle.card
    seen = pd.Timestamp(card["periods"]["validation"]["last_open"])
    traded = slot.bars.frame.index[slot.bars.frame.index >= start]
    return ModelEvidence(
        name=card["name"],
        version=card["version"],
        model_sha256=card["model_sha256"],
        beats_baselines=card["beats_baselines"],
        verdict=card["verdict"],
        last_bar_seen=seen.isoformat(),
        bars_seen_before=int((traded <= seen).sum()),
        out_of_sample=bool(len(traded) and traded[0] > seen),
        bars=len(traded),
    )


def proofs(proven: ResultEvidence) -> list[str]:
    """Return the proofs as sentences, for a notebook to print."""
    return proven.sentences()

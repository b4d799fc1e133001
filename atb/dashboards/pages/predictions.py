"""Market prediction analysis: what each stored model says now, and how it did on bars that it was not trained on.

Beside its own scores stand those of rules that need no model, from its card. A model that does not beat them says so.
"""

from typing import Any

from dash import html
from dash.development.base_component import Component

from atb.dashboards.elements import address, cards, figure, link, listed, notice, rounded, section
from atb.dashboards.page import Look, Page, Query, Source
from atb.experiments import TRAINING

DAYS = 60
_COLUMNS = {"model": "model", "symbol": "symbol", "timeframe": "bar", "last bar": "last bar", "says up (%)": "says it rises (%)",
            "horizon": "in the next (bars)", "bars judged": "bars judged", "right (%)": "right (%)",
            "always up (%)": "always up is right (%)",
            "AUC": "AUC (0.5 is chance)", "Brier": "Brier (0.25 is chance)", "beats": "beat the rules when trained"}  # fmt: skip
_SCORES = {
    "rule": "",
    "rows": "rows",
    "accuracy": "right (%)",
    "auc": "AUC",
    "log_loss": "log loss (nats)",
    "brier": "Brier",
}
_SAID = {"time": "bar", "session": "session", "symbol": "symbol", "strategy": "strategy", "prediction": "prediction",
         "confidence": "confidence (0 to 1)", "side": "signal (-1 to 1)"}  # fmt: skip


def read(source: Source, query: Query) -> dict[str, Any]:
    """Return every model's row, the chosen one (`model`, else the first) with its predictions, and what sessions last said."""
    from atb.experiments.judging import judge_models

    found = judge_models(source.settings, days=DAYS)
    titles = [each.title for each in found.judged]
    wanted = dict(query).get("model", titles[0] if titles else "")
    chosen = next((each for each in found.judged if each.title == wanted), None)
    return {
        "rows": [_row(each) for each in found.judged],
        "verdict": found.verdict,
        "left_out": found.left_out,
        "chosen": None if chosen is None else _chosen(chosen),
        "said": _said(source),
    }


def _row(judged: Any) -> dict[str, Any]:
    numbers = {name: rounded(value, 3) for name, value in judged.row().items() if isinstance(value, float)}
    return {**judged.row(), **numbers, "horizon": judged.horizon, "beats": judged.card["beats_baselines"]}


def _chosen(judged: Any) -> dict[str, Any]:
    from atb.prediction.evaluation import calibration_table, decile_table

    known, card = judged.known, judged.card
    rise, probability = known["rose"].to_numpy(), known["probability"].to_numpy()
    enough = bool(judged.scores)
    return {
        "title": judged.title, "table": judged.table, "horizon": judged.horizon, "verdict": card["verdict"],
        "calibration": calibration_table(probability, rise) if enough else None,
        "deciles": decile_table(probability, known["forward"].to_numpy()) if enough else None,
        "scores": _scores(judged, card),
        "card": {name: card[name] for name in ("created", "feature_set", "horizon", "seed", "model_sha256")},
    }  # fmt: skip


def _scores(judged: Any, card: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the model's scores now and when it was trained, and those of the rules, as rows."""
    named = [
        ("the model, on the bars judged here", judged.scores),
        ("the model, when trained", card["metrics"]["test"]),
    ]
    named += [(f"{rule}, when trained", scores) for rule, scores in card["baselines"]["test"].items()]
    return [
        {
            "rule": name,
            **{kind: rounded(scores[kind], 4) for kind in ("auc", "log_loss", "brier")},
            "accuracy": rounded(100 * scores["accuracy"]),
            "rows": int(scores.get("rows", len(judged.known))),
        }
        for name, scores in named
        if scores
    ]


def _said(source: Source) -> list[dict[str, Any]]:
    """Return the newest prediction of each slot of the newest sessions, as the journal has it."""
    from atb.live.journal.overview import sessions
    from atb.live.journal.watch import newest_predictions

    names = [row["session"] for row in sessions(source.database, now_ms=source.now_ms, limit=10)]
    return newest_predictions(source.database, names)


def draw(content: dict[str, Any], look: Look) -> Component:
    """Return the models, the chosen one in figures, and what sessions said."""
    rows = [{**row, "model": link(row["model"], "/predictions", model=row["model"])} for row in content["rows"]]
    untrained = f"No model is stored: `atb run notebooks/{TRAINING}` trains one."
    empty = "No stored model could be asked." if content["left_out"] else untrained
    left_out = [notice(f"{name} was left out: {why}", "warn") for name, why in content["left_out"].items()]
    said = [{**row, "to": address("/live", session=row["session"])} for row in content["said"]]
    return html.Div(
        [
            html.H1("Market predictions"),
            notice(f"{content['verdict']}.") if rows else None,
            *left_out,
            listed(rows, _COLUMNS, empty=empty),
            *([] if content["chosen"] is None else _drawn(content["chosen"], look)),
            section(
                "What sessions said last",
                listed(said, _SAID, empty="No session asked a model.", links={"session": "to"}),
            ),
        ]
    )


def _drawn(chosen: dict[str, Any], look: Look) -> list[Component]:
    from atb.reports.predictions import predictions_figure
    from atb.reports.training import calibration_figure, decile_figure

    title, card = chosen["title"], chosen["card"]
    parts: list[Component] = [html.H2(title), notice(chosen["verdict"])]
    if len(chosen["table"]):
        made = predictions_figure(chosen["table"], label=title, horizon=chosen["horizon"])
        parts.append(figure(made, look, name="predictions"))
    label = f"{title}, the last {DAYS} days"
    if chosen["calibration"] is not None:
        parts.append(figure(calibration_figure(chosen["calibration"], title=label), look, name="calibration"))
        made = decile_figure(chosen["deciles"], horizon=chosen["horizon"], title=label)
        parts.append(figure(made, look, name="deciles"))
    else:
        parts.append(notice("Too few bars after its training are over yet: its calibration cannot be drawn."))
    facts = {"trained": card["created"], "feature set": card["feature_set"], "seed": card["seed"]}
    return [
        *parts,
        section("Against rules that need no model", listed(chosen["scores"], _SCORES, empty="It has no scores.")),
        cards(facts),
    ]


PAGE = Page("/predictions", "Predictions", read, draw, every_s=60.0, from_files=True)

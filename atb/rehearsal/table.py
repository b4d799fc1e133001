"""The checks of a rehearsal, read from its stored evidence, and their rows for the terminal and for notebooks."""

from typing import Any

from atb.checks import Check

Json = dict[str, Any]
COLUMNS = ("check", "result", "found")
RESULTS = {"ok": "yes", "error": "NO", "warning": "warning", "skipped": "not tried", "info": ""}


def rows(rehearsal: Json) -> list[tuple[str, str, str]]:
    """Return one row per check: its name, its result in a word (see `RESULTS`), what was found."""
    return [(check.name, RESULTS[check.status], check.found) for check in checks(rehearsal)]


def checks(rehearsal: Json) -> list[Check]:
    """Return the checks of a rehearsal's evidence, as `Rehearsal.to_json` recorded it."""
    return [
        *_equality(rehearsal["comparison"]),
        *_faults(rehearsal),
        *_ends(rehearsal),
        *_invariants(rehearsal),
        _drill(rehearsal["drill"]),
    ]


def _equality(same: Json) -> list[Check]:
    found: list[Check] = [
        Check.of("equals its backtest", same["equal"], f"{same['decisions']} decisions, {same['orders']} orders")
    ]
    if same["first_difference"] is not None:
        found.append(Check("first difference", "info", str(same["first_difference"])))
    return found


def _faults(rehearsal: Json) -> list[Check]:
    if rehearsal["faults"] == "none":
        return []
    struck = ", ".join(f"{count} {name}" for name, count in sorted(rehearsal["struck"].items()))
    found: list[Check] = [
        Check("faults that occurred", "info", f"{struck or 'none'}; {rehearsal['kills']} kills of the runner")
    ]
    with_faults = rehearsal.get("with_faults_beside_backtest")
    if with_faults is None:
        return found
    sides = f"{with_faults['otherwise']} of {with_faults['decisions']} sides"
    sides += f" and {with_faults['differing']} of {with_faults['orders']} orders differ"
    if with_faults["served_otherwise"]:
        sides += f"; {with_faults['served_otherwise']} bars were served with other values at first"
        sides += f", {with_faults['by_served']} more sides differ because of them"
    elif with_faults["by_served"]:
        sides += f"; {with_faults['by_served']} more sides differ because an input came late or with other values"
    firsts = [with_faults[name] for name in ("first_decision", "first_order") if with_faults[name] is not None]
    first = "".join(f"; first: {_difference(difference)}" for difference in firsts)
    return [*found, Check.of("decides as its backtest, with faults", with_faults["decided_alike"], sides + first)]


def _difference(difference: Json) -> str:
    struck = ", ".join(f"{count} {name}" for name, count in sorted(difference.get("struck", {}).items()))
    return f"{difference['key']} {difference['runner']}, in the backtest {difference['backtest']}" + (
        f" ({struck})" if struck else ""
    )


def _ends(rehearsal: Json) -> list[Check]:
    codes = rehearsal.get("exit_codes", {})
    if not codes:
        return []
    exits = ", ".join(f"{name}: exit code {code}" for name, code in codes.items())
    return [Check.of("all runs ended as they should", not any(codes.values()), exits)]


def _invariants(rehearsal: Json) -> list[Check]:
    from atb.rehearsal.judge import INVARIANTS

    found = []
    for name, verdict in (rehearsal["invariants"] or {}).items():
        first = f"; first: {verdict['violations'][0]}" if verdict["violations"] else ""
        title, seen = f"{name} {INVARIANTS.get(name, '')}".strip(), f"{verdict['checked']} checked{first}"
        tried = verdict["checked"] or not verdict["held"]
        found.append(Check.of(title, verdict["held"], seen) if tried else Check(title, "skipped", seen))
    return found


def _drill(drill: Json) -> Check:
    if not drill["held"]:
        return Check("kill drill", "skipped", "no position was opened in the period")
    flat = f"flat {drill['seconds']:.2f} s after the kill switch" if drill["flat"] else "NOT flat"
    clock = f"{drill['milliseconds']} ms by the exchange's virtual clock"
    left = drill.get("resting", 0)
    flat += f", {left} of our orders still open" if left else ""
    passed = drill["flat"] and not left and drill["exit_code"] == 4
    return Check.of("kill drill", passed, f"{flat} ({clock}); exit code {drill['exit_code']}")

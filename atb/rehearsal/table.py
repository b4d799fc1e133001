"""The checks of a rehearsal, from its recorded evidence, and their rows for the terminal and notebooks."""

from typing import Any

from atb.checks import Check

Json = dict[str, Any]
COLUMNS = ("check", "result", "found")
RESULTS = {"ok": "yes", "error": "NO", "warning": "warning", "skipped": "not tried", "info": ""}


def rows(rehearsal: Json) -> list[tuple[str, str, str]]:
    """Return check, result (see `RESULTS`) and what was found, one row per check."""
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
        Check("faults that struck", "info", f"{struck or 'none'}; {rehearsal['kills']} kills of the runner")
    ]
    beside = rehearsal.get("with_faults_beside_backtest")
    if beside is None:
        return found
    sides = f"{beside['otherwise']} of {beside['decisions']} sides and {beside['differing']} of {beside['orders']} orders differ"
    if beside["served_otherwise"]:
        sides += f"; {beside['served_otherwise']} bars were served otherwise at first"
        sides += f", {beside['by_served']} more sides follow from them"
    firsts = [beside[name] for name in ("first_decision", "first_order") if beside[name] is not None]
    told = "".join(f"; first: {_difference(one)}" for one in firsts)
    return [*found, Check.of("decides as its backtest, with faults", beside["decided_alike"], sides + told)]


def _difference(one: Json) -> str:
    struck = ", ".join(f"{count} {name}" for name, count in sorted(one.get("struck", {}).items()))
    return f"{one['key']} {one['runner']}, in the backtest {one['backtest']}" + (f" ({struck})" if struck else "")


def _ends(rehearsal: Json) -> list[Check]:
    codes = rehearsal.get("exit_codes", {})
    if not codes:
        return []
    said = ", ".join(f"{name}: exit code {code}" for name, code in codes.items())
    return [Check.of("runs came to their end", not any(codes.values()), said)]


def _invariants(rehearsal: Json) -> list[Check]:
    from atb.rehearsal.judge import INVARIANTS

    found = []
    for name, said in (rehearsal["invariants"] or {}).items():
        first = f"; first: {said['violations'][0]}" if said["violations"] else ""
        title, seen = f"{name} {INVARIANTS.get(name, '')}".strip(), f"{said['checked']} checked{first}"
        tried = said["checked"] or not said["held"]
        found.append(Check.of(title, said["held"], seen) if tried else Check(title, "skipped", seen))
    return found


def _drill(drill: Json) -> Check:
    if not drill["held"]:
        return Check("kill drill", "skipped", "no position was opened in the period")
    flat = f"flat {drill['seconds']:.2f} s after the kill switch" if drill["flat"] else "NOT flat"
    clock = f"{drill['milliseconds']} ms by the exchange's virtual clock"
    left = drill.get("resting", 0)
    flat += f", {left} orders of ours rest" if left else ""
    passed = drill["flat"] and not left and drill["exit_code"] == 4
    return Check.of("kill drill", passed, f"{flat} ({clock}); exit code {drill['exit_code']}")

"""What a rehearsal found, one check per row: for the terminal and for notebooks."""

from typing import Any

Json = dict[str, Any]
Row = tuple[str, str, str]
COLUMNS = ("check", "result", "found")


def rows(rehearsal: Json) -> list[Row]:
    """Return check, result (`yes`, `NO`, `not tried` or nothing) and what was found, of a rehearsal's evidence."""
    return [
        *_equality(rehearsal["comparison"]),
        *_faults(rehearsal),
        *_ends(rehearsal),
        *_invariants(rehearsal),
        _drill(rehearsal["drill"]),
    ]


def _equality(same: Json) -> list[Row]:
    found: list[Row] = [
        ("equals its backtest", _word(same["equal"]), f"{same['decisions']} decisions, {same['orders']} orders")
    ]
    if same["first_difference"] is not None:
        found.append(("first difference", "", str(same["first_difference"])))
    return found


def _faults(rehearsal: Json) -> list[Row]:
    if rehearsal["faults"] == "none":
        return []
    struck = ", ".join(f"{count} {name}" for name, count in sorted(rehearsal["struck"].items()))
    found: list[Row] = [("faults that struck", "", f"{struck or 'none'}; {rehearsal['kills']} kills of the runner")]
    beside = rehearsal.get("with_faults_beside_backtest")
    if beside is None:
        return found
    sides = f"{beside['otherwise']} of {beside['decisions']} sides and {beside['differing']} of {beside['orders']} orders differ"
    if beside["served_otherwise"]:
        sides += f"; {beside['served_otherwise']} bars were served otherwise at first"
        sides += f", {beside['by_served']} more sides follow from them"
    firsts = [beside[name] for name in ("first_decision", "first_order") if beside[name] is not None]
    told = "".join(f"; first: {_difference(one)}" for one in firsts)
    return [*found, ("decides as its backtest, with faults", _word(beside["decided_alike"]), sides + told)]


def _difference(one: Json) -> str:
    struck = ", ".join(f"{count} {name}" for name, count in sorted(one.get("struck", {}).items()))
    return f"{one['key']} {one['runner']}, in the backtest {one['backtest']}" + (f" ({struck})" if struck else "")


def _ends(rehearsal: Json) -> list[Row]:
    codes = rehearsal.get("exit_codes", {})
    if not codes:
        return []
    said = ", ".join(f"{name}: exit code {code}" for name, code in codes.items())
    return [("runs came to their end", _word(not any(codes.values())), said)]


def _invariants(rehearsal: Json) -> list[Row]:
    from atb.rehearsal.judge import INVARIANTS

    found = []
    for name, said in (rehearsal["invariants"] or {}).items():
        first = f"; first: {said['violations'][0]}" if said["violations"] else ""
        result = _word(said["held"]) if said["checked"] or not said["held"] else "not tried"
        found.append((f"{name} {INVARIANTS.get(name, '')}".strip(), result, f"{said['checked']} checked{first}"))
    return found


def _drill(drill: Json) -> Row:
    if not drill["held"]:
        return "kill drill", "not tried", "no position was opened in the period"
    flat = f"flat {drill['seconds']:.2f} s after the kill switch" if drill["flat"] else "NOT flat"
    clock = f"{drill['milliseconds']} ms by the exchange's virtual clock"
    left = drill.get("resting", 0)
    flat += f", {left} orders of ours rest" if left else ""
    passed = drill["flat"] and not left and drill["exit_code"] == 4
    return "kill drill", _word(passed), f"{flat} ({clock}); exit code {drill['exit_code']}"


def _word(good: bool) -> str:
    return "yes" if good else "NO"

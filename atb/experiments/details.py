"""The details of a run: everything that was traded with its values, then the run itself and how to repeat it.

Values come from the published result, in which the policies' own defaults are filled in; the notebook's parameters would not do
(`params: {}` means the strategy's defaults). Parameters are shown for runs without a result.
"""

import html
import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from atb.decimals import counted

Facts = Mapping[str, Any]

# Rules shown even at their defaults, because readers look for them first; the others are in the folded list.
FIRST_RULES = ("sizing", "fraction", "entry", "stop_loss", "take_profit", "allow_short")
FIRST_LIMITS = ("cash", "max_gross", "reserve")
OPEN_RULES = 4  # sets of rules shown at once; more are folded


def assumptions_html(run: Facts, published: Facts) -> str:
    """Return the markets, rules and costs; the parameters of a run without a result. All is escaped.

    Parameters
    ----------
    run
        The run as JSON types: `run_id`, `notebook`, `status`, `parameters`, ...
    published
        The published result; empty if there is none.
    """
    if not published.get("result"):
        return "".join(_parameter_tables(run))
    return f"<h1>Assumptions</h1>{''.join(_traded_tables(published['result']))}"


def run_html(run: Facts) -> str:
    """Return the run: when it ran, every metric, hashes, and last the command that repeats it. All is escaped."""
    parts = [
        "<h1>The run</h1>",
        f'<p class="about">{_text(run_line(run))}</p>',
        _folded("All metrics", _table("", run.get("metrics") or {})),
        f'<div class="facts whole">{_table("", _repeat_facts(run))}</div>',
        f'<p class="about">To repeat it, on the same bars and sources:</p><pre class="command">{_text(command(run))}</pre>',
    ]
    return "".join(parts)


def run_line(run: Facts) -> str:
    """Return status, start, duration and id of the run in one line."""
    began = f"{run['started_at'][:16].replace('T', ' ')} UTC" if run.get("started_at") else None
    took = f"{run['seconds']:.1f} s" if run.get("seconds") is not None else None
    return " · ".join(str(fact) for fact in (run["status"], began, took, run["run_id"]) if fact)


def command(run: Facts) -> str:
    """Return the command that executes the run's notebook with the same parameters."""
    words = ["atb", "run", f"notebooks/{run['notebook']}"]
    for name, value in (run.get("parameters") or {}).items():
        words += ["-p", f"{name}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"]
    return shlex.join(words)


# --- what was traded ------------------------------------------------------------------------------------------------------


def _traded_tables(result: Facts) -> list[str]:
    """Return the traded slots, the account, and every rule, defaults included."""
    from atb.engine.policy import AccountPolicy

    alike = _alike(result.get("slots") or [])
    shown = [_slot(slots[0], result) if len(slots) == 1 else _slots(slots, result) for slots in alike]
    every = [_table(f"Rules of {_name(slots)}", slots[0].get("policy") or {}) for slots in alike]
    account = _shown_values(result.get("account") or {}, AccountPolicy().to_json(), FIRST_LIMITS)
    every.append(_table("Limits of the account", result.get("account") or {}))
    return [
        *shown[:OPEN_RULES],
        _folded(f"{counted(len(shown) - OPEN_RULES, 'more set')} of rules", "".join(shown[OPEN_RULES:])),
        _facts(_table("Account", account)),
        _folded("Every rule, including defaults", _facts("".join(every))),
    ]


def _alike(slots: Sequence[Facts]) -> list[list[Facts]]:
    """Return the slots in groups that trade by the same strategy, parameters, rules and costs."""
    groups: dict[str, list[Facts]] = {}
    for slot in slots:
        rules = [slot.get(name) for name in ("strategy", "model", "warmup", "policy", "execution", "timeframe")]
        groups.setdefault(json.dumps(rules, sort_keys=True, default=str), []).append(slot)
    return list(groups.values())


def _slots(slots: Sequence[Facts], result: Facts) -> str:
    """Return several slots that trade alike: what they share, and folded what each symbol has of its own."""
    symbols = {slot["symbol"]: "; ".join(f"{name} {value}" for name, value in _own(slot).items()) for slot in slots}
    market = {
        "symbols": len(slots),
        "timeframe": slots[0]["timeframe"],
        "traded (UTC)": f"{_moment(result.get('start'))} to {_moment(result.get('end'))}",
    }
    own = _facts(_table("Bars by symbol", symbols) + _table("Trading rules by symbol", _instruments(slots)))
    title = f"Bars and trading rules of each of {len(slots)} symbols; all else is the same for all"
    return _facts("".join(_tables(slots[0], market))) + _folded(title, own)


def _instruments(slots: Sequence[Facts]) -> dict[str, object]:
    return {slot["symbol"]: slot["instrument"] for slot in slots if slot.get("instrument")}


def _slot(slot: Facts, result: Facts) -> str:
    """Return one slot: strategy parameters, bars, rules and costs."""
    market = {
        "symbol": slot["symbol"],
        "timeframe": slot["timeframe"],
        "traded (UTC)": f"{_moment(result.get('start'))} to {_moment(result.get('end'))}",
        **_own(slot),
    }
    rules = _table("Trading rules of the venue", slot.get("instrument") or {})
    return _facts("".join([*_tables(slot, market), rules]))


def _own(slot: Facts) -> dict[str, object]:
    """Return venue, number, gaps and fingerprint of a slot's bars."""
    data = slot.get("data") or {}
    found = {
        "venue": slot.get("venue"),
        "bars, warm-up included": f"{data['bars']:,}" if data else None,
        "gaps": data.get("gaps"),
        "fingerprint": str(data.get("fingerprint"))[:12],
    }
    return {name: value for name, value in found.items() if value is not None}


def _tables(slot: Facts, market: Facts) -> tuple[str, ...]:
    """Return strategy with parameters, market, rules and costs."""
    from atb.engine.policy import RiskPolicy

    strategy = slot["strategy"]
    model = {"model": str(slot["model"]["fingerprint"])[:12]} if slot.get("model") else {}
    parameters = {**(strategy.get("parameters") or {}), **model, "warm-up (bars)": slot.get("warmup")}
    return (
        _table(f"Strategy: {strategy['name']}", parameters),
        _table("Market", market),
        _table("Rules", _shown_values(slot.get("policy") or {}, RiskPolicy().to_json(), FIRST_RULES)),
        _table("Costs and fills", slot.get("execution") or {}),
    )


def _name(slots: Sequence[Facts]) -> str:
    where = slots[0]["symbol"] if len(slots) == 1 else f"{len(slots)} symbols"
    return f"{slots[0]['strategy']['name']} on {where} {slots[0]['timeframe']}"


def _shown_values(values: Facts, defaults: Facts, first: Sequence[str]) -> dict[str, object]:
    """Return the values always shown, then those that differ from their defaults."""
    shown = [name for name in first if name in values]
    shown += [name for name, value in values.items() if name not in shown and value != defaults.get(name)]
    return {name: values[name] for name in shown}


def _moment(text: object) -> str:
    return str(text)[:16].replace("T", " ")


# --- the run --------------------------------------------------------------------------------------------------------------


def _parameter_tables(run: Facts) -> list[str]:
    """Return parameters and bars of a run that published no result."""
    bars = {f"{series['symbol']} {series['timeframe']}": _series(series) for series in run.get("data") or []}
    return [_facts(_table("Parameters", run.get("parameters") or {}) + _table("Data", bars))]


def _series(series: Facts) -> str:
    return (
        f"{series['bars']:,} bars, {_moment(series['first'])} to {_moment(series['last'])} (opens, UTC), {series['venue']}, "
        f"fingerprint {series['fingerprint'][:12]}"
    )


def _repeat_facts(run: Facts) -> dict[str, object]:
    names = ("run_id", "notebook", "notebook_sha256", "commit", "dirty", "seed", "kernel_hash")
    facts = {name: run[name] for name in names if run.get(name) is not None}
    bars = {f"bars {series['symbol']} {series['timeframe']}": _series(series) for series in run.get("data") or []}
    return {**facts, **bars}


# --- tables ---------------------------------------------------------------------------------------------------------------


def _facts(tables: str) -> str:
    return f'<div class="facts">{tables}</div>' if tables else ""


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{_text(title)}</summary>{content}</details>" if content else ""


def _table(title: str, rows: Facts) -> str:
    if not rows:
        return ""
    lines = [
        f'<tr><th scope="row">{_text(name)}</th><td>{_text(readable(value))}</td></tr>' for name, value in rows.items()
    ]
    heading = f"<h2>{_text(title)}</h2>" if title else ""
    return f"<section>{heading}<table>{''.join(lines)}</table></section>"


def readable(value: object) -> str:
    """Return a value for reading: no braces, no `null`; numbers keep every significant digit."""
    if value is None or value in ({}, [], ""):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.10g}" if value == 0 or abs(value) >= 1 else _fraction(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {readable(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        nested = any(isinstance(item, list | tuple | Mapping) for item in value)
        return json.dumps(value, ensure_ascii=False) if nested else ", ".join(readable(item) for item in value)
    return str(value)


def _fraction(value: float) -> str:
    """Return a number between -1 and 1 as decimals, or with an exponent if very small."""
    return f"{value:.12f}".rstrip("0") if abs(value) >= 1e-9 else f"{value:.10g}"


def _text(value: object) -> str:
    return html.escape(str(value))

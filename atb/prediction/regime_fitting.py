"""Fitting of regime models on past bars, once or on a schedule; the same bars give the same model.

hmmlearn and jumpmodels give parameters, nothing more: what they infer uses later bars (`atb.features.regimes.hidden_markov`). Both
start from what the bars say, not from chance: the expectation maximisation from groups of bars by range, the jump model from a
fixed seed. States are put in order, of volatility or of return, so that a state means the same in every fit.

A schedule is a grid of absolute times, so that its fits do not depend on where a history begins or ends: with more bars there are
more fits, and those there were stay as they are.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from atb.domain import Bars
from atb.domain.inputs import duration_ms
from atb.errors import InputError, did_you_mean
from atb.features.indicators import Array
from atb.features.regimes import Fit, GaussianHmm, Hysteresis, JumpModel, Refitted, Scale, TrendVolatility
from atb.features.regimes.hidden_markov import STATES, Rows
from atb.features.regimes.observations import downside_and_sortino, returns_and_ranges
from atb.features.regimes.refitted import Model

LEAST = 200  # observations that parameters are fitted on
_RARE = 1e-6  # least probability of a transition: what was never seen is not impossible
_HMM_LIMIT, _JUMP_LIMIT = 10.0, 3.0  # deviations beyond which an observation is cut
_STARTS = 4  # of the jump model's search
_SLOW_SORTINO = 2  # column of the jump model's observations


def make_regime(
    method: str, bars: Bars, *, hysteresis: Hysteresis | None = None, every: str = "90d", span: str = "730d"
) -> TrendVolatility | Refitted:
    """Return a method of regimes by its name, ready to compute; one that is fitted is refitted on a schedule, as by `refit`.

    Parameters
    ----------
    method
        `trend_volatility`, `gaussian_hmm` or `jump_model`.

    Raises
    ------
    InputError
        If the method is unknown, or as `refit`.
    """
    rules = hysteresis or Hysteresis()
    if method == TrendVolatility.name:
        return TrendVolatility(confirmations=rules.confirmations, dwell=rules.dwell, memory=rules.memory)
    if method not in FITTED:
        raise InputError(
            "Unknown method of regimes", found=method, todo=did_you_mean(method, [TrendVolatility.name, *FITTED])
        )
    return refit(bars, FITTED[method], every=every, span=span, hysteresis=rules)


def fit_gaussian_hmm(bars: Bars, *, states: int = 2, window: int = 24, memory: int = 250) -> GaussianHmm:
    """Fit a hidden Markov model of returns and ranges over `window` bars, states in order of volatility.

    Raises
    ------
    InputError
        If there are too few bars, they never vary, or the fit does not converge.
    """
    from hmmlearn.hmm import GaussianHMM

    if states not in STATES:
        raise InputError("A hidden Markov model has 2 or 3 states", found=states)
    observed = _observations(returns_and_ranges(bars.frame, window)[window:], bars)
    scale = Scale.of(observed, limit=_HMM_LIMIT)
    seen = scale.apply(observed)
    model = GaussianHMM(states, "diag", init_params="", n_iter=500, tol=1e-3, implementation="scaling")
    model.startprob_, model.transmat_ = np.full(states, 1 / states), _sticky(states)
    groups = np.array_split(np.argsort(seen[:, 1], kind="stable"), states)
    model.means_ = np.stack([seen[group].mean(axis=0) for group in groups])
    model.covars_ = np.stack([seen[group].var(axis=0) + 0.01 for group in groups])
    with warnings.catch_warnings():
        # hmmlearn sets the shape of an array, of which NumPy warns since 2.5
        warnings.filterwarnings("ignore", "Setting the shape", DeprecationWarning)
        model.fit(seen)
    if not model.monitor_.converged:
        raise InputError("The hidden Markov model does not converge", found=f"{len(bars)} bars", todo="Use more bars")
    order = np.argsort(model.means_[:, 1], kind="stable")
    deviations = np.sqrt(np.stack([model.covars_[state].diagonal() for state in order]))
    transition = model.transmat_[np.ix_(order, order)] + _RARE
    transition /= transition.sum(axis=1, keepdims=True)
    return GaussianHmm(scale, tuple(_stationary(transition).tolist()), _rows(transition), _rows(model.means_[order]),
                       _rows(deviations), window, memory)  # fmt: skip


def fit_jump_model(
    bars: Bars, *, penalty: float = 50.0, fast: int = 24, slow: int = 120, memory: int = 250, seed: int = 7
) -> JumpModel:
    """Fit a jump model of downside and Sortino ratios, the state with the lower ratio over `slow` bars first.

    Raises
    ------
    InputError
        If there are too few bars, or they never vary.
    """
    from jumpmodels.jump import JumpModel as Jumps

    observed = _observations(downside_and_sortino(bars.frame, fast, slow)[slow:], bars)
    scale = Scale.of(observed, limit=_JUMP_LIMIT)
    stride = max(1, fast // 4)  # neighbours share most of their window: these rows carry what there is
    model = Jumps(n_components=2, jump_penalty=penalty / stride, random_state=seed, n_init=_STARTS)
    model.fit(scale.apply(observed[::stride]), sort_by="freq")
    if not np.isfinite(model.centers_).all():
        raise InputError("The jump model found one state only", found=f"penalty={penalty}", todo="Use a lower penalty")
    order = np.argsort(model.centers_[:, _SLOW_SORTINO], kind="stable")
    return JumpModel(scale, _rows(model.centers_[order]), penalty, fast, slow, memory)


def refit(
    bars: Bars,
    fit: Callable[[Bars], Model],
    *,
    every: str = "90d",
    span: str = "730d",
    hysteresis: Hysteresis | None = None,
) -> Refitted:
    """Fit a model at each time of a schedule, on the bars of the span before it.

    Parameters
    ----------
    bars
        The history; a fit is made where the whole span lies in it.
    fit
        Such as `fit_gaussian_hmm`.
    every, span
        Time between two fits, and time whose bars each is fitted on; such as `90d`.
    hysteresis
        Laid over the labels.

    Raises
    ------
    InputError
        If no whole span lies in the history, or as `fit`.
    """
    step, length = duration_ms(every), duration_ms(span)
    earliest, newest = int(bars.opened_ms[0]) + length, int(bars.closed_ms[-1])
    times = range(-(-earliest // step) * step, newest + 1, step)
    if not times:
        raise InputError(f"No time of the schedule has {span} of bars before it", found=f"{len(bars)} bars of {bars.label}",
                         todo="Load more bars, or use a shorter span")  # fmt: skip
    return Refitted(tuple(_fit_of(bars, fit, first_ms=now - length, known_ms=now) for now in times), hysteresis)


def fit_once(bars: Bars, fit: Callable[[Bars], Model], *, hysteresis: Hysteresis | None = None) -> Refitted:
    """Fit a model on all of the bars; it counts for bars that open from their end on."""
    first, known = int(bars.opened_ms[0]), int(bars.closed_ms[-1])
    return Refitted((_fit_of(bars, fit, first_ms=first, known_ms=known),), hysteresis)


def _fit_of(bars: Bars, fit: Callable[[Bars], Model], *, first_ms: int, known_ms: int) -> Fit:
    """Return the fit on the bars that opened at `first_ms` or later and had closed at `known_ms`."""
    first = int(np.searchsorted(bars.opened_ms, first_ms))
    end = int(np.searchsorted(bars.closed_ms, known_ms, side="right"))
    part = bars.rows(first, end)
    if not len(part):
        raise InputError(f"{bars.label} has no bar in a span of the schedule", found=first_ms)
    return Fit(fit(part), int(part.opened_ms[0]), known_ms, len(part), part.fingerprint)


def _observations(observed: Array, bars: Bars) -> Array:
    if len(observed) < LEAST:
        raise InputError("Too few bars to fit regimes on", found=f"{len(bars)} bars of {bars.label}",
                         todo=f"Load at least {LEAST + len(bars) - len(observed)}")  # fmt: skip
    return observed


def _sticky(states: int) -> Array:
    return np.asarray(np.full((states, states), 0.05 / (states - 1)) + np.eye(states) * (0.95 - 0.05 / (states - 1)))


def _stationary(transition: Array) -> Array:
    """Return the distribution that the transition leaves as it is."""
    states = len(transition)
    equations = np.vstack([transition.T - np.eye(states), np.ones(states)])
    found: Any = np.linalg.lstsq(equations, np.r_[np.zeros(states), 1.0], rcond=None)[0]
    return np.asarray(np.clip(found, _RARE, 1.0) / np.clip(found, _RARE, 1.0).sum())


def _rows(table: Array) -> Rows:
    return tuple(tuple(float(value) for value in row) for row in table)


FITTED: dict[str, Callable[[Bars], Model]] = {"gaussian_hmm": fit_gaussian_hmm, "jump_model": fit_jump_model}
"""Methods that are fitted, by name."""

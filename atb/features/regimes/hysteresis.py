"""Hysteresis of labels: a change needs confirmations in a row and a minimum dwell, and the result depends on a bounded window.

Two rules, at every bar:

- *Confirmations*: a label is confirmed at a bar if it is the raw label of the last `confirmations` bars without a break. One other
  label in between begins the count anew.
- *Dwell*: the regime changes to a confirmed label once it has itself lasted `dwell` bars.

Followed from the first bar of a history on, these rules never forget: where raw labels alternate quickly, two histories that differ
in one old bar can disagree for ever. A runner that was started yesterday would then trade another regime than the backtest. So the
regime of a bar is decided from the last `memory` bars alone, and *what came before them is taken to be unknown*: the rules are
followed from every state that the past could have left behind (each label, each age). Where all of them end in the same label, that
is the regime: the one that any longer history ends in as well. Where they do not, the regime is undecided: NaN.

Three things follow, and tests hold them:

- A value is a function of `memory + confirmations - 1` raw labels: a runner with the declared warm-up computes the backtest's bits.
- More history never changes a value; it could only decide an undecided one. Known values are those of one unbounded run of the
  two rules, so any two changes among them are at least `dwell` bars apart.
- A label that is confirmed for `dwell` bars decides, whatever came before; so undecided bars are rare. Trend and volatility of
  BTC, ETH, SOL and BNB, 1h, 4h and 1d, have none with the default memory, and 0.3 % with half of it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atb.errors import InputError
from atb.features.indicators import Array
from atb.features.indicators.register import check_bar_counts
from atb.features.regimes.rolling import leading

_States = NDArray[np.int32]
_BLOCK = 2**14  # bars worked on at a time: each takes some hundred bytes for every state


@dataclass(frozen=True, slots=True)
class Hysteresis:
    """Confirmations and dwell of a regime, in bars.

    Parameters
    ----------
    confirmations
        Bars in a row with the same raw label before it counts; 1: at once.
    dwell
        Bars that a regime lasts at least; 1: no minimum.
    memory
        Bars from which the regime is decided; what came before is taken to be unknown.

    Raises
    ------
    InputError
        If a number of bars is no whole number above 0, or `memory` is too short ever to decide.
    """

    confirmations: int = 3
    dwell: int = 12
    memory: int = 250

    def __post_init__(self) -> None:
        """Refuse numbers of bars that mean nothing."""
        check_bar_counts(self, {"confirmations": 1, "dwell": 1, "memory": 1})
        if self.memory < 2 * self.dwell:
            raise InputError(
                "The memory is shorter than what it takes to decide",
                found=f"memory={self.memory} dwell={self.dwell}", todo="Use a memory of 2 dwells at least, better 20",
            )  # fmt: skip

    @property
    def warmup(self) -> int:
        """Raw labels that must come before a bar's own."""
        return self.memory + self.confirmations - 2

    def settle(self, raw: Array, labels: int) -> tuple[Array, Array]:
        """Return the regime at each bar and its age.

        Parameters
        ----------
        raw
            Label at each bar, 0 up to `labels` - 1; NaN where there is none, which confirms nothing.
        labels
            Number of labels.

        Returns
        -------
        tuple
            The regime (N,), NaN where undecided or before the warm-up is complete; and how many bars it has lasted (N,), this one
            included, counted up to `dwell`; NaN where that is undecided.
        """
        settled, age = np.full(len(raw), np.nan), np.full(len(raw), np.nan)
        first = leading(raw)  # raw labels begin after their own warm-up
        steps = self._confirmed(raw[first:])
        if len(steps) >= self.memory:
            known_from = first + self.warmup
            settled[known_from:], age[known_from:] = self._decided(steps, labels)
        return settled, age

    def _confirmed(self, raw: Array) -> NDArray[np.intp]:
        """Return for each bar with `confirmations` raw labels its confirmed label plus 1, 0 where none is."""
        k = self.confirmations
        if len(raw) < k:
            return np.empty(0, np.intp)
        found = np.where(np.isnan(raw), -1, raw).astype(np.intp)
        last, agreed = found[k - 1 :], np.ones(len(found) - k + 1, bool)
        for back in range(1, k):
            agreed &= found[k - 1 - back : len(found) - back] == last
        return np.where(agreed, last + 1, 0)

    def _table(self, labels: int) -> _States:
        """Return the next state by confirmed label plus 1 and state; a state is label * dwell + age - 1."""
        states = np.arange(labels * self.dwell, dtype=np.int32)
        label, age = np.divmod(states, self.dwell)
        older = states + (age < self.dwell - 1)
        confirmed = np.arange(labels, dtype=np.int32)[:, None]
        changes = (confirmed != label) & (age == self.dwell - 1)
        return np.concatenate([older[None], np.where(changes, confirmed * self.dwell, older)]).astype(np.int32)

    def _decided(self, steps: NDArray[np.intp], labels: int) -> tuple[Array, Array]:
        """Return label and age for each window of `memory` steps, NaN where its past matters."""
        table, windows = self._table(labels), len(steps) - self.memory + 1
        label, age = np.empty(windows), np.empty(windows)
        for first in range(0, windows, _BLOCK):
            part = slice(first, first + _BLOCK)
            ends = np.divmod(self._ends(steps[first : first + _BLOCK + self.memory - 1], table), self.dwell)
            label[part], age[part] = _agreed(ends[0]), _agreed(ends[1]) + 1
        return label, age

    def _ends(self, steps: NDArray[np.intp], table: _States) -> _States:
        """Return for each window of `memory` steps the state it ends in, by the state it began in: (windows, states).

        A window is the end of one block of `memory` steps and the beginning of the next one. Both are followed once per block,
        all blocks together, so that a history costs no more than its bars.
        """
        size, states = self.memory, table.shape[1]
        blocks = -(-len(steps) // size)
        padded = np.zeros(blocks * size, np.intp)
        padded[: len(steps)] = steps
        by_place = padded.reshape(blocks, size).T
        before = np.arange(blocks)[:, None] * states
        heads = np.empty((size + 1, blocks, states), np.int32)  # from the block's beginning up to a place
        tails = np.empty((size + 1, blocks, states), np.int32)  # from a place to the block's end
        heads[0] = tails[size] = np.arange(states)
        for place, next_state in enumerate(table[by_place]):
            np.take(next_state, before + heads[place], out=heads[place + 1])
        for place in range(size - 1, 0, -1):
            np.take(tails[place + 1], before + table[by_place[place]], out=tails[place])
        heads[1:size, 1:] = np.take_along_axis(heads[1:size, 1:], tails[1:size, :-1], axis=2)
        return heads[1:].transpose(1, 0, 2).reshape(blocks * size, states)[size - 1 : len(steps)]


def _agreed(values: _States) -> Array:
    """Return each row's value where all of a row are equal, else NaN."""
    return np.where((values == values[:, :1]).all(axis=1), values[:, 0].astype(np.float64), np.nan)

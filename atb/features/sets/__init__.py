"""Feature sets: the named, versioned, ordered, causal columns that a model is trained on and reads again when it predicts.

A set's name and version are part of a model's card, and so is the hash of these sources. To add one: a function over columns and a
`FeatureSet` in the module of its kind; the contract suite then runs on it.
"""

from atb.errors import InputError, did_you_mean
from atb.features.sets import of_bars, of_inputs
from atb.features.sets.feature_set import LIMIT, FeatureSet, InputColumns

FEATURE_SETS: dict[str, FeatureSet] = {one.name: one for one in (*of_bars.SETS, *of_inputs.SETS)}


def feature_set(name: str) -> FeatureSet:
    """Return the registered set, or refuse the name with the nearest known one."""
    if name not in FEATURE_SETS:
        raise InputError("Unknown feature set", found=name, todo=did_you_mean(name, FEATURE_SETS))
    return FEATURE_SETS[name]


__all__ = ["FEATURE_SETS", "LIMIT", "FeatureSet", "InputColumns", "feature_set"]

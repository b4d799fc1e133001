"""Strategies share code through components, never by copy; and a copy is found whatever it was renamed to."""

from pathlib import Path

import atb
from tests.contracts.copies import copies

ORIGINAL = '''
def band(close, n):
    """One."""
    mean = sma(close, n)
    spread = 2 * stddev(close, n)
    return mean - spread, mean + spread
'''
RENAMED = '''
class Other:
    def channel(self, price):
        """Two, with a sentence more."""
        first = None
        middle = average(price, self.window)
        width = 2 * deviation(price, self.window)
        return middle - width, middle + width
'''
ANOTHER = RENAMED.replace("2 *", "3 +")


def test_no_strategy_feature_or_component_has_a_copy_in_another():
    root = Path(atb.__file__).parent
    files = [file for folder in ("strategies", "features") for file in sorted((root / folder).rglob("*.py"))]
    assert len(files) > 40
    assert copies({file.relative_to(root).as_posix(): file.read_text(encoding="utf-8") for file in files}) == []


def test_a_copy_is_found_under_other_names_and_what_differs_is_none():
    assert copies({"a": ORIGINAL, "b": RENAMED}, least=20) == [("a:4", "b:6")]
    assert copies({"a": ORIGINAL, "b": ANOTHER}, least=20) == []
    assert copies({"a": ORIGINAL + RENAMED}, least=20) == []

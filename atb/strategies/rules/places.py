"""Errors in a rule: what is wrong, with the line and a caret under the place."""

from dataclasses import dataclass

from atb.errors import InputError


@dataclass(frozen=True, slots=True)
class Place:
    """Characters [start, end) of a rule's text, counted from 0."""

    text: str
    start: int
    end: int

    def error(self, wrong: str, todo: str = "") -> InputError:
        """Return the error with its line and carets under the place; the advice stands before them."""
        sentences = f"{wrong}. {todo}" if todo else wrong
        return InputError(f"{sentences}\n{self._line()}\n{self._carets()}")

    def _line(self) -> str:
        first, last = self._edges()
        return "  " + "".join(" " if sign.isspace() else sign for sign in self.text[first:last])

    def _carets(self) -> str:
        first, last = self._edges()
        return "  " + " " * (self.start - first) + "^" * max(1, min(self.end, last) - self.start)

    def _edges(self) -> tuple[int, int]:
        """Return where the line of the first character begins and ends."""
        first = self.text.rfind("\n", 0, self.start) + 1
        last = self.text.find("\n", self.start)
        return first, len(self.text) if last < 0 else last

"""Secrets stay out of what a run leaves behind: their values are replaced in every text before it is written."""

import html
import json
from collections.abc import Iterable

MASK = "***"
SHORTEST = 6  # replacing shorter values would riddle ordinary text


def mask(text: str, secrets: Iterable[str]) -> str:
    """Return `text` without the secrets, whether they stand as they are, quoted, inside JSON or inside HTML."""
    for secret in secrets:
        if len(secret) < SHORTEST:
            continue
        for form in sorted(_forms(secret), key=len, reverse=True):
            text = text.replace(form, MASK)
    return text


def _forms(secret: str) -> set[str]:
    """Return how a value may be spelt: printed or quoted, and that again inside JSON or HTML."""
    spelt = {secret, repr(secret)[1:-1], *_in_json(secret)}
    return spelt | {form for one in spelt for form in (*_in_json(one), html.escape(one))}


def _in_json(text: str) -> tuple[str, str]:
    return json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]

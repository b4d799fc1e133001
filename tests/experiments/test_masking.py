"""Masking: a secret is found as it is, inside JSON and inside HTML."""

import html
import json

from atb.experiments.masking import mask

SECRET = 'p"ä\\ss<wörd>'


def test_a_secret_is_replaced_in_every_form():
    text = json.dumps({"plain": SECRET, "cell": json.dumps(SECRET)}) + SECRET + html.escape(SECRET)
    masked = mask(text, [SECRET])
    assert masked.count("***") == 4
    assert "rd&gt;" not in masked
    assert "wörd" not in masked


def test_short_values_and_other_text_stay():
    assert mask("the cat sat", ["cat", ""]) == "the cat sat"

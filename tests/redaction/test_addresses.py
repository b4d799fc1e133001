"""Passwords in addresses: masked wherever they stand, taken out, and found as written and as meant."""

import pytest

from atb.redaction import Redactor
from atb.redaction.addresses import mask_url, url_passwords, without_password

MASKED = {
    "postgresql://me:kNrY@host/atb": "postgresql://me:***@host/atb",
    "postgresql://me:k/N:r@Y@host/atb": "postgresql://me:***@host/atb",
    "me:kNrY@host/atb": "me:***@host/atb",
    "http://proxy:kNrY@host:8080": "http://proxy:***@host:8080",
    "postgresql://host/atb?user=me&password=kNrY&x=1": "postgresql://host/atb?user=me&password=***&x=1",
    "postgresql://host/atb": "postgresql://host/atb",
    "sqlite:////data/a:b@c.db": "sqlite:////data/a:b@c.db",
}


@pytest.mark.parametrize(("url", "masked"), MASKED.items())
def test_an_address_is_shown_with_the_mask_in_place_of_its_password(url, masked):
    assert mask_url(url) == masked
    assert without_password(url) == masked.replace(":***@", "@").replace("***", "")


@pytest.mark.parametrize("url", MASKED)
def test_what_is_masked_once_is_left_as_it_is_by_every_other_mask(url):
    assert Redactor().text(mask_url(url)) == mask_url(mask_url(url)) == mask_url(url)


def test_passwords_are_found_as_written_and_decoded():
    assert url_passwords("postgresql://me:k%20N@host/atb") == ("k%20N", "k N")
    assert url_passwords("postgresql://host/atb?password=k%2BN") == ("k%2BN", "k+N")
    assert url_passwords("postgresql://host/atb") == ()

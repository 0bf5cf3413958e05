"""A connection string of MongoDB: login and TLS are passed on, passwords are told to nobody."""

from __future__ import annotations

import pytest

from harness.errors import UsageError
from harness.stack.external.mongo_uri import parse

WHERE = "FLASHCROWD_EXTERNAL_MONGO"


def test_what_is_passed_on() -> None:
    address = parse(
        f"mongodb://me:Rumpel%40stilz@m1:1,m2:2/shop?replicaSet=rs0&tls=true&tlsCAFile={__file__}&authSource=admin&w=1&readPreference=secondary",
        WHERE,
    )
    assert (address.hosts, address.user, address.password, address.database) == (
        ("m1:1", "m2:2"),
        "me",
        "Rumpel@stilz",
        "shop",
    )
    assert dict(address.options) == {"tls": "true", "tlsCAFile": __file__, "authSource": "admin"}
    assert address.notes == (
        f"readPreference, w of {WHERE} is left out: the incident declares how the application uses MongoDB",
    )
    assert address.shown == "me@m1:1,m2:2/shop"
    assert "stilz" not in repr(address)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mongodb://me:Rumpel@stilz@m1/shop", "cannot be read"),
        ("mongodb://me:Rumpelstilz@m1/", "names no database"),
        ("postgresql://me:Rumpelstilz@m1/shop", "cannot be read"),
        ("mongodb://me:Rumpelstilz@m1:abc/shop", "cannot be read"),
        ("mongodb://me:Rumpelstilz@m1/shop?tls=true&tlsCAFile=/no.pem", "/no.pem cannot be read: No such file"),
    ],
)
def test_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        parse(text, WHERE)
    assert "stilz" not in str(refused.value)

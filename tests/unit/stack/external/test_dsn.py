"""A DSN is read as both drivers read it, or refused without a word of its password."""

from __future__ import annotations

from pathlib import Path

import asyncpg.connect_utils
import pytest
from psycopg.conninfo import conninfo_to_dict

from harness.errors import UsageError
from harness.stack.external.dsn import PASSED_ON, parse
from harness.stack.external.postgres import endpoint_of

WHERE = "FLASHCROWD_EXTERNAL_POSTGRES"
SECRET = "Rumpel@stilz:chen/7"


def refused(text: str) -> str:
    """What is said of a DSN that is refused."""
    with pytest.raises(UsageError) as error:
        parse(text, WHERE)
    assert "stilz" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://me:Rumpel%40stilz%3Achen%2F7@db.example:6432/shop?sslmode=verify-full&sslrootcert=/etc/ca.pem&sslcert=/c.pem",
        "host=db.example port=6432 user=me password='Rumpel@stilz:chen/7' dbname=shop sslmode=verify-full sslrootcert=/etc/ca.pem sslcert=/c.pem",
    ],
    ids=["URI", "pairs"],
)
def test_both_ways_to_write_it(text: str) -> None:
    address = parse(text, WHERE)
    assert (address.host, address.port, address.user, address.database) == ("db.example", 6432, "me", "shop")
    assert address.password == SECRET
    assert dict(address.options) == {"sslmode": "verify-full", "sslrootcert": "/etc/ca.pem", "sslcert": "/c.pem"}
    assert address.shown == "me@db.example:6432/shop"
    assert "stilz" not in repr(address)
    # what comes out of it is read by libpq as it was written
    again = conninfo_to_dict(endpoint_of(address, name="postgres").dsn())
    assert again == conninfo_to_dict(text) | {"port": "6432"}


def test_what_is_passed_on_is_known_to_asyncpg() -> None:
    source = Path(asyncpg.connect_utils.__file__).read_text(encoding="utf-8")
    assert [name for name in PASSED_ON if f"'{name}' in query" not in source] == []


def test_a_folder_of_a_socket_is_a_host() -> None:
    address = parse("postgresql://me@%2Fvar%2Frun%2Fpostgresql/shop", WHERE)
    assert address.host == "/var/run/postgresql"
    assert conninfo_to_dict(endpoint_of(address, name="postgres").dsn())["host"] == "/var/run/postgresql"


def test_what_only_one_driver_knows_is_left_out_and_told() -> None:
    address = parse("postgresql://me@db/shop?connect_timeout=3&application_name=x&sslmode=require", WHERE)
    assert address.options == (("sslmode", "require"),)
    assert address.notes == (f"application_name, connect_timeout of {WHERE} is left out: not both drivers know it",)


def test_the_systems_certificates_become_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", __file__)
    address = parse("postgresql://me@db/shop?sslmode=verify-full&sslrootcert=system", WHERE)
    assert dict(address.options)["sslrootcert"] == __file__


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("postgresql://me:Rumpelstilz@db:abc/shop", "names several servers", id="port"),
        pytest.param("postgresql://me:Rumpel@stilz@db/shop", "write one in a password as %40", id="@"),
        pytest.param("postgresql://me:Rumpelstilz/7@db/shop", "names no user", id="/"),
        pytest.param("postgresql://me:Rumpelstilz@/shop", "names no host", id="no host"),
        pytest.param("postgresql://me:Rumpelstilz@db", "names no database", id="no database"),
        pytest.param("postgresql://:Rumpelstilz@db/shop", "names no user", id="no user"),
        pytest.param("postgresql://me:Rumpelstilz@a,b/shop", "names several servers", id="two hosts"),
        pytest.param("postgresql://me:Rumpelstilz@db/shop?options=-cwork_mem%3D1GB", "parameter options", id="options"),
        pytest.param("postgresql://me:Rumpelstilz@db/shop?colour=red", "cannot be read as a DSN", id="unknown"),
        pytest.param("mysql://me:Rumpelstilz@db/shop", "cannot be read as a DSN", id="scheme"),
    ],
)
def test_refused(text: str, said: str) -> None:
    assert said in refused(text)

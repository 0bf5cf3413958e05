"""A PostgreSQL of somebody's: passwords, encryption, ordinary roles; one for all tests here, a database for each."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from harness.stack import cores
from harness.stack.embedded import account as accounts
from harness.stack.embedded import binaries as programs
from harness.stack.embedded import instance as instances
from harness.stack.embedded import server as servers
from tests.integration.command import Place

#: Debian's is built with TLS, the wheel's is not.
DEBIANS = Path("/usr/lib/postgresql/15")
SECRET = "Rumpel@stilz:chen/7"
HOST = "127.0.0.1"


@dataclass(eq=False)
class OwnServer:
    """A server that is none of ours, as far as flashcrowd knows.

    :ivar authority: file of the certificate that its own is signed by
    :ivar settings: its own
    """

    server: servers.Server
    authority: Path
    settings: Mapping[str, str]
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def admin(self, database: str = "postgres") -> psycopg.Connection:
        """A session of its superuser."""
        return self.server.connect(database)

    def dsn(self, user: str, database: str, options: str = "") -> str:
        """As a user would write it."""
        tls = f"sslmode=verify-full&sslrootcert={quote(str(self.authority))}"
        return f"postgresql://{user}:{quote(SECRET, safe='')}@{HOST}:{self.server.port}/{database}?{tls}{options}"

    def make_role(self, attributes: str = "") -> str:
        """A new role with the password."""
        name = f"role_{next(self.numbers)}"
        with self.admin() as admin:
            admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{SECRET}' {attributes}".encode())
        return name

    def make_database(self, owner: str = "postgres") -> str:
        """A new, empty database."""
        name = f"shop_{next(self.numbers)}"
        with self.admin() as admin:
            admin.execute(f"CREATE DATABASE {name} OWNER {owner}".encode())
        return name

    def databases(self, like: str) -> set[str]:
        """Names of databases that begin so."""
        with self.admin() as admin:
            rows = admin.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [like]).fetchall()
        return {row[0] for row in rows}


def certify(folder: Path) -> tuple[Path, Path]:
    """A self-made certificate for loopback, and its key."""
    certificate, key = folder / "server.crt", folder / "server.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=flashcrowd test",
         "-addext", f"subjectAltName=IP:{HOST}", "-out", str(certificate), "-keyout", str(key)],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


def of_debian() -> programs.Binaries:
    """Debian's PostgreSQL."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(programs.FORCED, str(DEBIANS))
        return programs.locate(accounts.for_servers(), ())


@contextmanager
def own_server() -> Iterator[OwnServer]:
    """Start one; stopped on every path."""
    account = accounts.for_servers()
    binaries = of_debian()
    with instances.make(account) as instance:
        subprocess.run(
            [binaries.program("initdb"), "-D", str(instance.data), "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8", "--no-locale"],
            check=True, capture_output=True, cwd=instance.folder, env=servers.environment(), **account.spawn_arguments(),
        )  # fmt: skip
        certificate, key = certify(instance.folder)
        account.own(key)
        key.chmod(0o600)
        (instance.data / "pg_hba.conf").write_text(
            f"hostnossl all postgres {HOST}/32 trust\nhostssl all all {HOST}/32 scram-sha-256\n"
            f"hostssl replication all {HOST}/32 scram-sha-256\n"
        )
        settings = {
            "ssl": "on", "ssl_cert_file": str(certificate), "ssl_key_file": str(key), "fsync": "off",
            "shared_preload_libraries": "pg_stat_statements", "deadlock_timeout": "100ms",
            "autovacuum_naptime": "1h",  # it writes, which makes data no longer untouched
        }  # fmt: skip
        # As near to a machine of its own as this one gets: the load is not kept off its core, but it is kept off the load's.
        apart = (cores.own_cores() or ())[-1:] or None
        server = servers.start(instance, binaries=binaries, account=account, settings=settings, cores=apart)
        try:
            yield OwnServer(server=server, authority=certificate, settings=settings)
        finally:
            server.stop()


@pytest.fixture(scope="session")
def own() -> Iterator[OwnServer]:
    """For all tests of one's own servers."""
    if not DEBIANS.exists():
        pytest.skip(f"no PostgreSQL with TLS at {DEBIANS}")
    with own_server() as server:
        yield server


@pytest.fixture
def place() -> Iterator[Place]:
    """For the commands of one test; none of them inherits an address of another's."""
    made = Place.make()
    made.environment |= {name: "" for name in os.environ if name.startswith("FLASHCROWD_EXTERNAL")}
    yield made
    made.clear()

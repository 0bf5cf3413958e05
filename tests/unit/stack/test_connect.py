"""How to connect is told without passwords; those go into files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict
from pymongo.uri_parser import parse_uri

from harness.stack import connect
from harness.stack.mongo.members import Member, ReplicaSet
from harness.stack.postgres.endpoint import Endpoint
from harness.stack.services.service import ServiceEndpoint

SECRET = "Rumpel@stilz:chen\\7"


@dataclass(frozen=True)
class Shown:
    """As much of a stack as is asked."""

    postgres: Endpoint | None
    replicas: tuple[Endpoint, ...] = ()
    mongo: ReplicaSet | None = None
    services: Mapping[str, tuple[ServiceEndpoint, ...]] = field(default_factory=dict)


ENDPOINT = Endpoint(
    host="172.18.0.2", port=5432, user="postgres", application_user="app", database="crowd", version="18.6",
    version_num=180006, postmaster_pid=None, cpus=1, cores=None, log_folder=None, max_connections=100,
    passwords=(("postgres", SECRET), ("app", SECRET)), options=(("sslmode", "require"), ("sslpassword", SECRET)),
)  # fmt: skip
MONGO = ReplicaSet(
    name="rs0", members=(Member(name="mongo-1", host="h1", port=1, cpus=None), Member(name="mongo-2", host="h2", port=2, cpus=None)),
    database="crowd", version="6.0.5", user="me", password=SECRET, options=(("tls", "true"),),
)  # fmt: skip


def stack(**changes: Any) -> Any:
    """A stack with everything."""
    return replace(
        Shown(postgres=ENDPOINT, replicas=(replace(ENDPOINT, name="postgres-replica-1", port=5433),), mongo=MONGO),
        **changes,
    )


def test_lines_have_every_server_and_no_password() -> None:
    lines = list(connect.commands(stack(), password_file=Path("/run/a b.pgpass")))
    assert not [line for line in lines if "stilz" in line or "chen" in line]
    assert [line.partition("=")[0] for line in lines[:3]] == [
        "FLASHCROWD_DSN",
        "FLASHCROWD_READERS",
        "FLASHCROWD_MONGO",
    ]
    psql = [line for line in lines if "psql" in line]
    assert [line.partition("  # ")[2] for line in psql] == ["postgres", "postgres-replica-1"]
    assert psql[0].startswith(
        "PGPASSFILE='/run/a b.pgpass' psql 'postgresql://postgres@172.18.0.2:5432/crowd?sslmode=require'"
    )
    mongosh = [line for line in lines if line.startswith("mongosh")]
    assert [line.partition("  # ")[2] for line in mongosh] == ["rs0, the whole set", "mongo-1", "mongo-2"]
    assert all("--username me" in line for line in mongosh)


def test_without_passwords_there_is_no_file_to_name() -> None:
    bare = stack(postgres=replace(ENDPOINT, passwords=()), replicas=(), mongo=None)
    assert not connect.has_passwords(bare)
    assert connect.has_passwords(stack())
    assert connect.has_passwords(stack(postgres=None, replicas=()))
    assert list(connect.commands(bare, password_file=None))[1].startswith("psql ")


def test_the_password_file_is_as_libpq_reads_it() -> None:
    lines = list(connect.password_lines(stack(replicas=())))
    assert lines[0] == "172.18.0.2:5432:*:postgres:Rumpel@stilz\\:chen\\\\7"


def test_programs_are_told_all() -> None:
    found = connect.addresses(stack())
    assert conninfo_to_dict(found["FLASHCROWD_DSN"])["password"] == SECRET
    assert conninfo_to_dict(found["FLASHCROWD_DSN"])["user"] == "app"
    assert parse_uri(found["FLASHCROWD_MONGO"])["password"] == SECRET
    assert len(list(connect.environment_lines(stack()))) == 3


def test_services_are_told_by_their_addresses() -> None:
    webs = tuple(ServiceEndpoint(name=f"web-{n}", service="web", host="10.0.0.2", port=8000 + n) for n in (1, 2))
    worker = ServiceEndpoint(name="worker-1", service="worker", host="10.0.0.3", port=None)
    shown = stack(services={"web": webs, "worker": (worker,)})
    both = "http://10.0.0.2:8001 http://10.0.0.2:8002"
    assert connect.addresses(shown)["FLASHCROWD_SERVICE_WEB"] == both
    assert not [name for name in connect.addresses(shown) if "WORKER" in name]
    lines = list(connect.commands(shown, password_file=None))
    assert f"FLASHCROWD_SERVICE_WEB='{both}'" in lines
    assert lines[-2:] == ["curl http://10.0.0.2:8001  # web-1", "curl http://10.0.0.2:8002  # web-2"]


@pytest.mark.parametrize("nothing", [stack(postgres=None, replicas=(), mongo=None)])
def test_nothing_there(nothing: Any) -> None:
    assert connect.addresses(nothing) == {}
    assert list(connect.commands(nothing, password_file=None)) == []

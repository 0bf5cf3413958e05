"""How to connect to a running stack, for people and for other programs; passwords stand in files that only the user may read."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

from harness.load.plan import DSN_VARIABLE, MONGO_VARIABLE, READERS_VARIABLE
from harness.stack.mongo.members import ReplicaSet
from harness.stack.postgres.endpoint import Endpoint
from harness.stack.services import service as services
from harness.stack.stack import Stack

#: Options of an address that are secrets themselves.
_SECRET_OPTIONS = ("sslpassword", "tlscertificatekeyfilepassword")


def addresses(stack: Stack) -> dict[str, str]:
    """Where the servers are, as the environment variables that profiles read, passwords and all: never to be shown."""
    found = {}
    if stack.postgres is not None:
        found[DSN_VARIABLE] = stack.postgres.dsn(user=stack.postgres.application_user)
    if stack.replicas:
        found[READERS_VARIABLE] = " ".join(replica.dsn(user=replica.application_user) for replica in stack.replicas)
    if stack.mongo is not None:
        found[MONGO_VARIABLE] = stack.mongo.uri()
    return found | _of_services(stack)


def has_passwords(stack: Stack) -> bool:
    """Whether one needs a password to connect to any of the servers."""
    postgres = [one for one in (stack.postgres, *stack.replicas) if one is not None]
    return any(one.passwords for one in postgres) or (stack.mongo is not None and stack.mongo.password is not None)


def commands(stack: Stack, *, password_file: Path | None) -> Iterator[str]:
    """A line for each address, to be pasted into a shell; none of them holds a password.

    :param password_file: where psql finds passwords, see :func:`password_lines`; None: it asks
    """
    for variable, value in _shown(stack).items():
        yield f"{variable}={value}"
    before = "" if password_file is None else f"PGPASSFILE={shlex.quote(str(password_file))} "
    for endpoint in (stack.postgres, *stack.replicas):
        if endpoint is not None:
            yield f"{before}psql {shlex.quote(_bare(endpoint).dsn())}  # {endpoint.name}"
    if stack.mongo is not None:
        bare = _bare_set(stack.mongo)
        login = "" if stack.mongo.user is None else f" --username {shlex.quote(stack.mongo.user)}"
        yield f"mongosh {shlex.quote(bare.uri())}{login}  # {stack.mongo.name}, the whole set"
        for member in bare.members:
            yield f"mongosh {shlex.quote(bare.uri_of(member))}{login}  # {member.name}"
    for instance in chain.from_iterable(stack.services.values()):
        if instance.url is not None:
            yield f"curl {shlex.quote(instance.url)}  # {instance.name}"


def password_lines(stack: Stack) -> Iterator[str]:
    """The lines of a password file, as libpq reads it: ``host:port:database:user:password``."""
    for endpoint in (stack.postgres, *stack.replicas):
        if endpoint is not None:
            for user, password in endpoint.passwords:
                fields = (endpoint.host, str(endpoint.port), "*", user, password)
                yield ":".join(field.replace("\\", "\\\\").replace(":", "\\:") for field in fields)


def environment_lines(stack: Stack) -> Iterator[str]:
    """The lines of a file to be read by a shell (``set -a; . FILE``)."""
    for variable, value in addresses(stack).items():
        yield f"{variable}={shlex.quote(value)}"


def _shown(stack: Stack) -> dict[str, str]:
    found = {}
    if stack.postgres is not None:
        found[DSN_VARIABLE] = _bare(stack.postgres).dsn(user=stack.postgres.application_user)
    if stack.replicas:
        readers = [_bare(replica).dsn(user=replica.application_user) for replica in stack.replicas]
        found[READERS_VARIABLE] = shlex.quote(" ".join(readers))
    if stack.mongo is not None:
        found[MONGO_VARIABLE] = _bare_set(stack.mongo).uri()
    return found | {variable: shlex.quote(value) for variable, value in _of_services(stack).items()}


def _of_services(stack: Stack) -> dict[str, str]:
    return services.addresses(chain.from_iterable(stack.services.values()))


def _bare(endpoint: Endpoint) -> Endpoint:
    options = tuple((name, value) for name, value in endpoint.options if name not in _SECRET_OPTIONS)
    return replace(endpoint, passwords=(), options=options)


def _bare_set(mongo: ReplicaSet) -> ReplicaSet:
    options = tuple((name, value) for name, value in mongo.options if name.lower() not in _SECRET_OPTIONS)
    return replace(mongo, user=None, password=None, options=options)

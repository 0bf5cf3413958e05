"""Where one's own servers are: from the environment, or from a file that nobody else may read.

Never from the command line, where ``ps`` shows it. What is said of a wrong address does not repeat it: it may hold a
password, or a piece of one.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import UsageError
from harness.stack.external import exporters, services

POSTGRES_VARIABLE = "FLASHCROWD_EXTERNAL_POSTGRES"
REPLICAS_VARIABLE = "FLASHCROWD_EXTERNAL_REPLICAS"
MONGO_VARIABLE = "FLASHCROWD_EXTERNAL_MONGO"
FILE_VARIABLE = "FLASHCROWD_EXTERNAL_FILE"
KEYS = ("postgres", "replicas", "mongo", "services", "prometheus")


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where the servers are, as the user wrote it; None: not named.

    :param postgres: DSN of the primary and the database that is loaded
    :param replicas: DSNs of streaming replicas that take reads
    :param mongo: connection string of the replica set and the database that is loaded
    :param services: addresses of instances of services, see :mod:`harness.stack.external.services`
    :param prometheus: where their CPU can be asked for, see :mod:`harness.stack.external.exporters`
    """

    postgres: str | None = field(default=None, repr=False)
    replicas: tuple[str, ...] = field(default=(), repr=False)
    mongo: str | None = field(default=None, repr=False)
    services: tuple[str, ...] = field(default=(), repr=False)
    prometheus: tuple[str, ...] = field(default=(), repr=False)


def read(environment: Mapping[str, str] | None = None) -> Addresses:
    """What environment and file name; the environment has the last word.

    :raises UsageError: the file cannot be read, others may read it, or it holds something else
    """
    given = os.environ if environment is None else environment
    named = given.get(FILE_VARIABLE)
    of_file = _of_file(Path(named)) if named else Addresses()
    replicas = tuple(given.get(REPLICAS_VARIABLE, "").split())
    serving = tuple(given.get(services.VARIABLE, "").split())
    prometheus = tuple(given.get(exporters.VARIABLE, "").split())
    return Addresses(
        postgres=given.get(POSTGRES_VARIABLE) or of_file.postgres,
        replicas=replicas or of_file.replicas,
        mongo=given.get(MONGO_VARIABLE) or of_file.mongo,
        services=serving or of_file.services,
        prometheus=prometheus or of_file.prometheus,
    )


def _of_file(path: Path) -> Addresses:
    where = f"{FILE_VARIABLE}={path}"
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise UsageError(
                    f"{where}: others may read it (mode {mode:o}), and it holds passwords: chmod 600 {path}"
                )
            value = tomllib.load(file)
    except OSError as error:
        raise UsageError(f"{where}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        # The parser's words may quote the line, and the line may hold a password.
        raise UsageError(f'{where}: is no TOML; write lines such as postgres = "postgresql://…"') from None
    unknown = sorted(value.keys() - set(KEYS))
    if unknown:
        raise UsageError(f"{where}: {unknown[0]}: unknown; it may hold {', '.join(KEYS)}")
    for key, what in (("replicas", "DSNs"), ("services", "addresses"), ("prometheus", "sources")):
        listed = value.get(key, [])
        if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
            raise UsageError(f"{where}: {key}: must be a list of {what}")
    for key in ("postgres", "mongo"):
        if not isinstance(value.get(key, ""), str):
            raise UsageError(f"{where}: {key}: must be a text")
    return Addresses(
        postgres=value.get("postgres"),
        replicas=tuple(value.get("replicas", ())),
        mongo=value.get("mongo"),
        services=tuple(value.get("services", ())),
        prometheus=tuple(value.get("prometheus", ())),
    )

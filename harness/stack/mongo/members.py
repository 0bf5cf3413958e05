"""Where a running MongoDB replica set is and what it was given."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One mongod.

    :param name: the label ``name`` of its samples, such as ``mongo-1``
    :param log_file: its log, one JSON object a line; None where it cannot be read
    """

    name: str
    host: str
    port: int
    cpus: float | None
    log_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaSet:
    """A running replica set and one database of it.

    :param members: the first was the primary when it came up
    :param user: None: no authentication
    :param options: further options of the connection string, such as those of TLS
    :param notes: what a reader of the figures should know
    """

    name: str
    members: tuple[Member, ...]
    database: str
    version: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()

    def uri(self) -> str:
        """The address of the whole set, as drivers take it."""
        hosts = ",".join(f"{member.host}:{member.port}" for member in self.members)
        return self._uri(hosts, (("replicaSet", self.name),))

    def uri_of(self, member: Member) -> str:
        """The address of one member, whatever its state."""
        return self._uri(f"{member.host}:{member.port}", (("directConnection", "true"),))

    def _uri(self, hosts: str, options: tuple[tuple[str, str], ...]) -> str:
        login = "" if self.user is None else f"{quote(self.user, safe='')}:{quote(self.password or '', safe='')}@"
        joined = "&".join(f"{key}={quote(value, safe='')}" for key, value in (*options, *self.options))
        return f"mongodb://{login}{hosts}/{self.database}?{joined}"

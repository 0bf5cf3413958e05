"""A PostgreSQL in a container, primary or replica: its address, its superuser's sessions, what it logged."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg

from harness.stack.docker import session
from harness.stack.docker.container import Allotment, Container
from harness.stack.docker.server import DockerServer
from harness.stack.logs import Logs
from harness.stack.postgres.endpoint import Endpoint
from harness.stack.postgres.seeding import APPLICATION_USER, DATABASE, SUPERUSER
from harness.stack.postgres.settings import JSONLOG_SINCE, About, full_settings
from harness.stack.stack import Role

#: Folders inside, which are ours outside.
LOG = "/flashcrowd/log"
CONFIGURATION = "/flashcrowd/conf"
HBA = "pg_hba.conf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passwords:
    """What the roles of one stack's PostgreSQL log in with; no other stack has the same."""

    superuser: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    application: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Role and password."""
        return ((SUPERUSER, self.superuser), (APPLICATION_USER, self.application))


class Node(DockerServer):
    """A running PostgreSQL.

    :ivar stages: what its coming up took, where :meth:`DockerStack.add_replica` brought it up
    """

    def __init__(
        self,
        *,
        container: Container,
        role: Role,
        allotment: Allotment,
        passwords: Passwords,
        notes: tuple[str, ...],
    ) -> None:
        super().__init__(
            container=container,
            role=role,
            allotment=allotment,
            await_ready=lambda: session.await_ready(container, passwords.superuser),
        )
        self.notes = notes
        self.logs = Logs(container.log, "postgres.*")
        self._passwords = passwords
        self._endpoint: Endpoint | None = None

    @property
    def endpoint(self) -> Endpoint:
        """Where it is, at the database that the dataset was seeded into."""
        if self._endpoint is None:
            self._endpoint = self._read_endpoint()
        main = self.container.main
        pid = None if main is None else main.pid
        return replace(self._endpoint, postmaster_pid=pid, cpus=self.cpus, cores=self.cores)

    def admin(self, database: str = "postgres") -> psycopg.Connection:
        """A new autocommit session of the superuser.

        :raises psycopg.OperationalError: the server does not take it
        """
        return session.connect(self.container, self._passwords.superuser, database)

    def end_sessions(self) -> None:
        """Start it anew: from outside, a session in a container cannot be ended alone everywhere."""
        self.stop()
        self.start()

    def _read_endpoint(self) -> Endpoint:
        with self.admin(DATABASE) as connection:
            about = About.read(connection)
        return Endpoint(
            name=self.name,
            host=self.container.address,
            port=session.PORT,
            user=SUPERUSER,
            application_user=APPLICATION_USER,
            passwords=self._passwords.pairs(),
            database=DATABASE,
            version=about.version,
            version_num=about.version_num,
            postmaster_pid=None,
            cpus=self.cpus,
            cores=self.cores,
            log_folder=self.container.log,
            max_connections=about.max_connections,
            notes=self.notes,
        )


def set_passwords(container: Container, old: str, passwords: Passwords) -> None:
    """Give the roles the passwords of this stack; the server, its log and its statistics see only what is derived of them.

    :param old: what the superuser logs in with now
    """
    with session.connect(container, old) as admin:
        for role, password in passwords.pairs():
            derived = admin.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
            admin.execute(f"ALTER ROLE {role} PASSWORD '{derived}'".encode())


def server_command(settings: Mapping[str, str], version_num: int, *, has_statements: bool) -> list[str]:
    """The server's arguments: settings that the incident asks for, with what measuring needs.

    :param has_statements: whether pg_stat_statements is in the image
    """
    has_json = version_num // 10000 >= JSONLOG_SINCE
    wanted = {
        **full_settings(settings, log_folder=LOG, has_json=has_json, has_statements=has_statements),
        "listen_addresses": "*",
        "hba_file": f"{CONFIGURATION}/{HBA}",
        "log_file_mode": "0644",  # its user is none of this machine's, and we read it
    }
    return ["postgres", *(word for name, value in wanted.items() for word in ("-c", f"{name}={value}"))]


def write_hba(folder: Path, subnet: str) -> None:
    """Who may log in, and how: by password from the stack's network, and whoever is inside the container."""
    lines = (
        "local all all trust",
        "host all all 127.0.0.1/32 trust",
        f"host all all {subnet} scram-sha-256",
        f"host replication all {subnet} scram-sha-256",
    )
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    (folder / HBA).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / HBA).chmod(0o644)

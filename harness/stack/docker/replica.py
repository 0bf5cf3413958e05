"""How a replica in a container is made: its first start takes the base backup, which every later one finds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.errors import StackError
from harness.stack.cores import Held
from harness.stack.docker import session
from harness.stack.docker.cluster import DATA, VOLUME
from harness.stack.docker.container import Allotment, Place, Plan, create
from harness.stack.docker.images import Image
from harness.stack.docker.node import CONFIGURATION, LOG, Node, Passwords, server_command
from harness.stack.postgres.replica import BACKUP, BACKUP_OPTIONS, BACKUP_S, LOOK_AGAIN_S, following, slot_name
from harness.stack.stack import Role

BACKED_UP = ".base-backup"  # in the folder of its log: the base backup is there

# As root, like the image's own entrypoint, which gives everything to the server's user. The password is in PGPASSWORD,
# for the backup and for the server's own connection to the primary.
_SCRIPT = f"""
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    {BACKUP} -D "$PGDATA" -h "$PRIMARY" -S "$SLOT" {" ".join(BACKUP_OPTIONS)}
    touch "$PGDATA/standby.signal" "{LOG}/{BACKED_UP}"
fi
exec docker-entrypoint.sh "$@"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaMaker:
    """Makes the replicas of one primary; implements :class:`harness.stack.postgres.replica.Maker`.

    :param settings: what is asked of a replica's server
    :param has_statements: whether the image has pg_stat_statements
    :param memory_bytes: most memory that each may use; None: no limit
    """

    primary: Node
    place: Place
    image: Image
    passwords: Passwords
    settings: Mapping[str, str]
    has_statements: bool
    memory_bytes: int | None

    def prepare(self, name: str, held: Held) -> Node:
        """A container that is not started."""
        primary = self.primary.endpoint
        settings = {**self.settings, **following(primary, name)}
        allotment = Allotment(cpus=held.cpus, memory_bytes=self.memory_bytes, cores=held.cores)
        plan = Plan(
            name=name,
            image=self.image,
            entrypoint=["/bin/sh", "-euc", _SCRIPT, "replica"],
            command=server_command(settings, primary.version_num, has_statements=self.has_statements),
            environment={
                "PGDATA": DATA,
                "TZ": "UTC",
                "PRIMARY": primary.host,
                "SLOT": slot_name(name),
                "PGPASSWORD": self.passwords.superuser,
            },
            allotment=allotment,
            binds=[(self.place.log(name), LOG, "rw"), (self.place.folder / "conf", CONFIGURATION, "ro")],
            volumes=[VOLUME],
        )
        for path in self.place.log(name).iterdir():  # of one of the same name that is gone
            path.unlink()
        return Node(
            container=create(self.place, plan),
            role=Role.READER,
            allotment=allotment,
            passwords=self.passwords,
            notes=held.notes,
        )

    def back_up(self, node: Node) -> None:
        """Start its container, and wait for what it does first.

        :raises StackError: the base backup failed
        """
        node.container.start()
        done: Path = node.container.log / BACKED_UP
        ends = time.monotonic() + BACKUP_S
        while not done.exists():
            if died := node.container.how_it_died():
                raise StackError(f"the base backup failed: {died}")
            if time.monotonic() > ends:
                raise StackError(f"the base backup for {node.name} had not ended after {BACKUP_S:.0f} s")
            time.sleep(LOOK_AGAIN_S)

    def start(self, node: Node) -> None:
        """Wait until it takes connections: its container starts it.

        :raises StackError: it does not come up
        """
        session.await_ready(node.container, self.passwords.superuser)

    def abort(self, node: Node) -> None:
        """Remove its container, for which the thread that makes it waits, or which it is about to start."""
        with suppress(StackError):
            node.container.remove()

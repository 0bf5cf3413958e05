"""How an embedded replica is made: its primary's cluster copied into a folder of its own, and a postmaster on that."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from harness.errors import StackError
from harness.stack import processes
from harness.stack.cores import Held
from harness.stack.embedded import server as servers
from harness.stack.embedded.node import Node
from harness.stack.postgres.replica import BACKUP, BACKUP_OPTIONS, BACKUP_S, following, slot_name
from harness.stack.stack import Role

ABORT_S = 5.0
LAST_FILE = "global/pg_control"  # of what a base backup copies


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaMaker:
    """Makes the replicas of one primary; implements :class:`harness.stack.postgres.replica.Maker`.

    :param settings: what is asked of a replica's server
    """

    primary: Node
    settings: Mapping[str, str]

    def prepare(self, name: str, held: Held) -> Node:
        """A folder."""
        return Node(name=name, role=Role.READER, program=self.primary.program, held=held, notes=held.notes)

    def back_up(self, node: Node) -> None:
        """Have the primary's cluster copied into it.

        :raises StackError: the base backup cannot be started, or failed
        """
        program, endpoint = node.program, self.primary.endpoint
        command = [program.binaries.program(BACKUP), "-D", str(node.instance.data), *BACKUP_OPTIONS]
        command += ["-h", endpoint.host, "-p", str(endpoint.port), "-S", slot_name(node.name)]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                errors="replace",
                cwd=node.instance.folder,
                env=servers.environment(),
                timeout=BACKUP_S,
                check=False,
                start_new_session=True,
                **program.account.spawn_arguments(),
            )
        except subprocess.TimeoutExpired as error:
            raise StackError(f"{BACKUP} for {node.name} had not ended after {BACKUP_S:.0f} s") from error
        except OSError as error:
            raise StackError(f"{command[0]} cannot be started ({error}): a replica needs it") from error
        if done.returncode != 0:
            how = f"ended with exit status {done.returncode}"
        elif not (node.instance.data / LAST_FILE).is_file():
            # Whoever ends it from another thread may learn its exit status before we do, who are then told 0.
            how = "was ended before its time"
        else:
            return
        raise StackError(f"{BACKUP} for {node.name} {how}:\n{done.stdout}{done.stderr}")

    def start(self, node: Node) -> None:
        """Launch its postmaster, at a port of its own.

        :raises StackError: it does not come up
        """
        (node.instance.data / "standby.signal").touch()
        node.launch({**self.settings, **following(self.primary.endpoint, node.name)}, port=None)

    def abort(self, node: Node) -> None:
        """End what works in its folder: the thread that makes it waits for one of these, or is about to start it."""
        data = node.instance.data
        if not processes.end(processes.of_data_folder(data), number=signal.SIGQUIT, limit_s=ABORT_S):
            # What a shell started in the background ignores SIGQUIT, and so does the backup that it starts.
            processes.end(processes.of_data_folder(data))

"""One mongod: start it, see whether it lives, end it.

Like every server it is started in a session of its own, so that a Ctrl-C on the terminal reaches the harness only, and
held to its cores from the beginning.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil

from harness.errors import StackError
from harness.stack import processes
from harness.stack.cores import thread_held_to
from harness.stack.embedded import port as ports
from harness.stack.embedded.account import Account
from harness.stack.embedded.instance import Instance
from harness.stack.embedded.mongod_program import MongodProgram
from harness.stack.mongo.options import options
from harness.stack.processes import Identity

LOG = "mongod.log"
STDERR = "mongod.stderr"
SHOWN_LINES = 12
_SHOWN_CHARACTERS = 300
_NET_ERROR = 48  # exit status of a mongod that cannot listen
_LOOKED_AT = 300


class AddressInUse(Exception):
    """The port was taken between the choice and the start."""


class Mongod:
    """A mongod that was started; made by :meth:`launch`."""

    def __init__(self, *, process: subprocess.Popen[bytes], instance: Instance) -> None:
        self._process = process
        self._instance = instance

    @classmethod
    def launch(
        cls,
        instance: Instance,
        *,
        program: MongodProgram,
        account: Account,
        port: int,
        replica_set: str | None,
        cache_bytes: int,
        parameters: Mapping[str, str],
        cores: tuple[int, ...] | None,
    ) -> Self:
        """Start a mongod on the files in ``instance``; it does not answer yet.

        :param replica_set: None: it is none's member
        :raises StackError: the program cannot be started
        """
        command = [str(program.path), "--bind_ip", ports.HOST]
        # Its socket would be left in the folder for temporary files by one that is killed.
        command += ["--nounixsocket", *([] if replica_set is None else ["--replSet", replica_set])]
        command += options(
            data=str(instance.data),
            log=str(instance.log / LOG),
            port=port,
            cache_bytes=cache_bytes,
            parameters=parameters,
        )
        with (instance.log / STDERR).open("wb") as stderr, thread_held_to(cores):
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=stderr,
                    stderr=stderr,
                    cwd=instance.folder,
                    env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
                    start_new_session=True,
                    **account.spawn_arguments(),
                )
            except OSError as error:
                raise StackError(f"{program.path} cannot be started: {error}") from error
        with suppress(psutil.NoSuchProcess):  # gone already: the wait for it will say why
            instance.record(Identity.of(process.pid))
        return cls(process=process, instance=instance)

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    def lives(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def how_it_died(self) -> str | None:
        """None while it lives, else its exit status and what it said last."""
        status = self._process.poll()
        if status is None:
            return None
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with exit status {status}"
        return f"the mongod (process {self.pid}) {how}; its last lines:\n{last_lines(self._instance.log)}"

    def check_coming_up(self) -> None:
        """While it is awaited: nothing if it lives.

        :raises AddressInUse: somebody else got its port
        :raises StackError: it died for another reason
        """
        died = self.how_it_died()
        if died is None:
            return
        if self._process.returncode == _NET_ERROR:
            raise AddressInUse
        raise StackError(f"MongoDB did not come up: {died}\n{_hint(died)}")

    def terminate(self, limit_s: float) -> bool:
        """Ask it to shut down in order.

        :returns: whether it has, in the time given
        """
        if self.lives():
            self._process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(limit_s)
        return not self.lives()

    def kill(self) -> None:
        """End it as a power cut does; nothing happens where it has ended.

        :raises StackError: it does not end
        """
        if self.lives():
            self._process.kill()
            processes.reap(self._process, "mongod")

    def signal(self, number: int) -> None:
        """Send it a signal.

        :raises StackError: it has ended
        """
        died = self.how_it_died()
        if died is not None:
            raise StackError(died)
        self._process.send_signal(number)


def last_lines(log_folder: Path, count: int = SHOWN_LINES) -> str:
    """What a mongod said last, indented: of its log where it has one, else of its standard error.

    Errors come first: a mongod that gives up says why, and then at length how it shuts down.
    """
    for name, words in ((LOG, _words), (STDERR, str)):
        with suppress(FileNotFoundError):
            lines = (log_folder / name).read_text(encoding="utf-8", errors="replace").splitlines()[-_LOOKED_AT:]
            if lines:
                errors = [line for line in lines[:-count] if '"s":"E"' in line or '"s":"F"' in line]
                shown = [*errors, *lines[-count:]][: 2 * count]
                return "\n".join(f"    {words(line)[:_SHOWN_CHARACTERS]}" for line in shown)
    return "    (it said nothing)"


def _words(line: str) -> str:
    """A line of the log for people; as it is where it is no JSON.

    >>> _words('{"t":{"$date":"2026-11-21T06:00:00.000+00:00"},"s":"I","c":"NETWORK","msg":"Listening on","attr":{"port":1}}')
    '2026-11-21T06:00:00.000+00:00 I NETWORK Listening on {"port": 1}'
    """
    try:
        value = json.loads(line)
        attributes = f" {json.dumps(value['attr'])}" if "attr" in value else ""
        return f"{value['t']['$date']} {value['s']} {value['c']} {value['msg']}{attributes}"
    except (ValueError, LookupError, TypeError):
        return line


def _hint(died: str) -> str:
    if "setParameter" in died or "Unknown --setParameter" in died or "parsing option" in died:
        return "The server refused a parameter: see topology.mongo.parameters of the incident."
    if "No space left" in died:
        return "The disk is full: free some space, or point TMPDIR to another."
    return "Run it with another mongod (FLASHCROWD_MONGOD) to see whether it is this build of MongoDB."

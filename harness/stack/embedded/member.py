"""One member of an embedded replica set, as the timeline acts upon it: started and started again on the same files and port."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo.errors import PyMongoError

from harness.errors import StackError
from harness.stack.cache import copy_tree
from harness.stack.cores import Held
from harness.stack.embedded import port as ports
from harness.stack.embedded.account import Account
from harness.stack.embedded.child import Child
from harness.stack.embedded.instance import Instance
from harness.stack.embedded.mongod import LOG, AddressInUse, Mongod
from harness.stack.embedded.mongod_program import MongodProgram
from harness.stack.logs import Logs
from harness.stack.mongo import replica_set
from harness.stack.mongo.members import Member
from harness.stack.stack import Role

PORTS_TRIED = 5
STOP_S = 20.0
SAME_PORT_S = 10.0
_LOOK_AGAIN_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How the mongods of a set are started.

    :param parameters: ``--setParameter``, on top of what each mongod of ours gets
    """

    program: MongodProgram
    account: Account
    cache_bytes: int
    parameters: Mapping[str, str]


class EmbeddedMember(Child):
    """A member; implements :class:`harness.stack.stack.Server`.

    :ivar port: the same for all of its life
    """

    def __init__(self, *, name: str, instance: Instance, how: How, held: Held) -> None:
        super().__init__(name=name, role=Role.MEMBER, held=held)
        self.port = ports.lasting()
        self._instance, self._how = instance, how
        self._mongod: Mongod | None = None
        self.logs = Logs(instance.log, LOG)

    @property
    def host(self) -> str:
        """``host:port``, as members and clients reach it."""
        return f"{ports.HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        """Its process, paused or not; None while it is down."""
        return self._mongod.pid if self._mongod is not None and self._mongod.lives() else None

    @property
    def log_file(self) -> Path:
        """Its log, one JSON object a line."""
        return self._instance.log / LOG

    @property
    def member(self) -> Member:
        """Where it is and what it was given."""
        return Member(name=self.name, host=ports.HOST, port=self.port, cpus=self.held.cpus, log_file=self.log_file)

    # --- as the set needs it

    def described(self) -> dict[str, Any]:
        """What it was given, for run.json."""
        cores = None if self.held.cores is None else list(self.held.cores)
        return {"name": self.name, "cpus": self.held.cpus, "cores": cores}

    def fill(self, seeded: Path) -> None:
        """Kill it and give it a copy of the seeded files; its cores are those that it was given at first, its log is new."""
        self.end()
        self._held = self._given
        self.down_on_purpose = False
        shutil.rmtree(self._instance.data, ignore_errors=True)
        copy_tree(seeded, self._instance.data)
        self._how.account.own(self._instance.data)  # not every way of copying keeps the owner
        self.log_file.unlink(missing_ok=True)

    def launch(self) -> None:
        """Start it; it does not answer yet."""
        self._mongod = Mongod.launch(
            self._instance,
            program=self._how.program,
            account=self._how.account,
            port=self.port,
            replica_set=replica_set.NAME,
            cache_bytes=self._how.cache_bytes,
            parameters=self._how.parameters,
            cores=self._held.cores,
        )

    def await_answer(self, *, may_move: bool) -> None:
        """Wait until it answers.

        :param may_move: whether it may take another port where somebody got its own; else that port is waited for
        :raises StackError: it did not come up
        """
        begun, tried = time.monotonic(), 0
        while True:
            try:
                replica_set.answers(self.host, self.check_coming_up)
                return
            except AddressInUse as error:
                tried += 1
                given_up = tried == PORTS_TRIED if may_move else time.monotonic() - begun > SAME_PORT_S
                if given_up:
                    raise StackError(f"port {self.port}, on which {self.name} is to listen, is taken") from error
            if may_move:
                self.port = ports.lasting()
            else:
                time.sleep(_LOOK_AGAIN_S)
            self.launch()

    def check_coming_up(self) -> None:
        """While it is awaited: nothing if it lives.

        :raises StackError: it died
        """
        if self._mongod is not None:
            self._mongod.check_coming_up()

    def how_it_died(self) -> str | None:
        """None while it lives, or is down on purpose, else how it died."""
        if self._mongod is None or self.down_on_purpose:
            return None
        died = self._mongod.how_it_died()
        return None if died is None else f"{self.name}: {died}"

    def end(self) -> None:
        """Kill it; nothing happens where it is down."""
        if self._mongod is not None:
            self._mongod.kill()

    # --- as the timeline acts upon it

    def pause(self) -> None:
        """Stop its process without ending it: it looks hung, its connections stay open.

        :raises StackError: it is down
        """
        mongod = self._running()
        self.down_on_purpose = True
        mongod.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on.

        :raises StackError: it is down
        """
        self._running().signal(signal.SIGCONT)
        self.down_on_purpose = False

    def stop(self) -> None:
        """Shut it down in order; what does not stop is killed.

        A mongod that is told to stop while a failpoint holds an index build can spin on a core for ever, so failpoints are
        released first.
        """
        mongod = self._running()
        self.down_on_purpose = True
        mongod.signal(signal.SIGCONT)  # a paused one would not hear
        with suppress(PyMongoError):  # one that does not answer is killed below
            replica_set.release_failpoints(self.host)
        if not mongod.terminate(STOP_S):
            mongod.kill()

    def kill(self) -> None:
        """End it as a power cut does."""
        mongod = self._running()
        self.down_on_purpose = True
        mongod.kill()

    def start(self) -> None:
        """Start it again on the files that it has, and wait until it answers; it joins the set by itself.

        :raises StackError: it did not come up, or has not been down
        """
        if self._mongod is not None and self._mongod.lives():
            raise StackError(f"{self.name} runs: stop or kill it first, or resume it where it is paused")
        self.launch()
        self.await_answer(may_move=False)
        self.down_on_purpose = False

    def _running(self) -> Mongod:
        if self._mongod is None or not self._mongod.lives():
            raise StackError(f"{self.name} is down already")
        return self._mongod

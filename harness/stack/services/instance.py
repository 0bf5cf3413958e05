"""One instance of a service: what the timeline and the probes see of it, and the supervisor that starts it again.

Both providers share it. What differs is the node: a child process, or a container. A node lasts from one reset to the next;
a restart starts the node's process again.

A thread looks at the node twenty times a second. An instance that has ended although nobody told it to has crashed: it is
started again after the time that its service declares, and both is written down; without such a time it stays dead, and
:meth:`ServiceInstance.how_it_died` says so.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from harness.errors import StackError
from harness.model import Service
from harness.stack.cores import Held
from harness.stack.services import readiness
from harness.stack.services.service import ServiceEndpoint, StackEvent, reason_of
from harness.stack.stack import Footprint, Role, Stage

LOOK_S = 0.05


class Node(Protocol):
    """A process of a service, or a container with it. Its methods are those of :class:`harness.stack.stack.Server`."""

    down_on_purpose: bool

    def footprint(self) -> Footprint | None: ...
    def why_not(self, action: str) -> str | None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...
    def start(self) -> None: ...
    def cut_off(self) -> None: ...
    def rejoin(self) -> None: ...
    def set_cpus(self, cpus: float) -> None: ...

    def look(self) -> str | None:
        """None while it runs or is down on purpose, else how it died; ends it where it uses more memory than it may and
        nothing else would."""

    def remove(self) -> None:
        """End it, with all that it started and wrote."""


class Place(Protocol):
    """Where a provider runs one instance.

    :ivar held: what it is allotted
    :ivar log_file: what it prints
    :ivar host: the address that it is to listen on
    :ivar folder: its working folder, as it sees it
    """

    @property
    def endpoint(self) -> ServiceEndpoint: ...
    @property
    def held(self) -> Held: ...
    @property
    def log_file(self) -> Path: ...
    @property
    def host(self) -> str: ...
    @property
    def folder(self) -> str: ...

    def make(self, environment: Mapping[str, str]) -> Node:
        """A node that has not been started."""


class ServiceInstance:
    """An instance; implements :class:`harness.stack.stack.Server`.

    :param record: is told of every crash and restart
    """

    role = Role.SERVICE

    def __init__(self, service: Service, place: Place, record: Callable[[StackEvent], None]) -> None:
        self.service, self.place = service, place
        self.name = place.endpoint.name
        self.stages: tuple[Stage, ...] = ()
        self._record = record
        self._node: Node | None = None
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._supervisor: threading.Thread | None = None
        self._death: str | None = None

    # --- as the set needs it

    def begin(self, environment: Mapping[str, str]) -> None:
        """Start it from nothing; returns before it is ready.

        :raises StackError: it cannot be started
        """
        self.end()
        self.place.log_file.unlink(missing_ok=True)
        self._death = None
        with self._lock:
            self._node = self.place.make(environment)
            self._node.start()

    def await_ready(self) -> None:
        """Wait until it is ready.

        :raises StackError: it died, or took too long
        """
        readiness.await_ready(self.service, self.place.endpoint, self._running().look)

    def supervise(self) -> None:
        """From now on look after it."""
        self._over.clear()
        self._supervisor = threading.Thread(target=self._look_after, name=f"supervisor of {self.name}", daemon=True)
        self._supervisor.start()

    def end(self) -> None:
        """End it and what looks after it; nothing happens where it has been."""
        self._over.set()
        if self._supervisor is not None:
            self._supervisor.join()
            self._supervisor = None
        with self._lock:
            node, self._node = self._node, None
            if node is not None:
                node.remove()

    def how_it_died(self) -> str | None:
        """None while it lives, is down on purpose, or is about to be started again."""
        return self._death

    # --- as timeline and probes see it

    @property
    def down_on_purpose(self) -> bool:
        """Stopped, killed, paused or cut off by the timeline."""
        return self._node is not None and self._node.down_on_purpose

    @down_on_purpose.setter
    def down_on_purpose(self, value: bool) -> None:
        self._running().down_on_purpose = value

    def footprint(self) -> Footprint | None:
        """Where its CPU and memory are read now; None while it is down."""
        found = None if self._node is None else self._node.footprint()
        return None if found is None else replace(found, service=self.service.name)

    def why_not(self, action: str) -> str | None:
        """Why it cannot do an action, and what to do instead; None if it can."""
        return self._running().why_not(action)

    def pause(self) -> None:
        """Stop its processes without ending them.

        :raises StackError: it is down
        """
        with self._lock:
            self._running().pause()

    def resume(self) -> None:
        """Let it go on.

        :raises StackError: it is down
        """
        with self._lock:
            self._running().resume()

    def stop(self) -> None:
        """Ask it to end (SIGTERM), and kill it where it does not; its supervisor leaves it alone until :meth:`start`.

        :raises StackError: it is down
        """
        with self._lock:
            self._running().stop()

    def kill(self) -> None:
        """End its processes as a power cut does; its supervisor leaves it alone until :meth:`start`.

        :raises StackError: it is down
        """
        with self._lock:
            self._running().kill()

    def start(self) -> None:
        """Start it again, and wait until it is ready.

        :raises StackError: it runs, or did not come up
        """
        with self._lock:
            node = self._running()
            node.start()
        if not node.down_on_purpose:  # else it is cut off: nobody could ask it
            self.await_ready()

    def cut_off(self) -> None:
        """Cut it off from clients and databases.

        :raises StackError: this provider cannot
        """
        with self._lock:
            self._running().cut_off()

    def rejoin(self) -> None:
        """Undo :meth:`cut_off`.

        :raises StackError: this provider cannot
        """
        with self._lock:
            self._running().rejoin()

    def set_cpus(self, cpus: float) -> None:
        """Allot it other cores while it runs.

        :raises StackError: this machine has not so many, or it is down
        """
        with self._lock:
            self._running().set_cpus(cpus)

    # --- the supervisor

    def _look_after(self) -> None:
        while not self._over.wait(LOOK_S):
            with self._lock:
                died = self._crash()
            if died is None:
                continue
            reason, after_s = reason_of(died), self.service.restart_after_s
            self._tell("crashed", reason, died.partition("; its last lines:")[0])
            if after_s is None:
                self._death = died
                return
            if self._over.wait(after_s) or not self._restart(reason):
                return

    def _crash(self) -> str | None:
        try:
            return self._running().look()
        except StackError as error:  # the engine does not answer
            return str(error)

    def _restart(self, reason: str) -> bool:
        """Start it again, unless somebody else did meanwhile; whether that went well."""
        with self._lock:
            node = self._running()
            try:
                if node.look() is None:
                    return True
                node.start()
            except StackError as error:
                self._death = f"{self.name} could not be started again: {error}"
                return False
        self._tell("restarted", reason, f"{self.name} was started again by its supervisor")
        return True

    def _tell(self, state: str, reason: str, text: str) -> None:
        event = StackEvent(at_ns=time.monotonic_ns(), server=self.name, state=state, reason=reason, text=text)
        self._record(event)

    def _running(self) -> Node:
        if self._node is None:
            raise StackError(f"{self.name} is not up")
        return self._node

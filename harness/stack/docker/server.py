"""A server in a container as the timeline acts upon it."""

from __future__ import annotations

from collections.abc import Callable

from harness.stack import cores
from harness.stack.cores import Held
from harness.stack.docker.container import Allotment, Container
from harness.stack.stack import Footprint, Role, Stage


class DockerServer:
    """A server; what it can do is said in :class:`harness.stack.stack.Server`.

    :param await_ready: returns when the server takes connections, or raises StackError
    :ivar container: where it runs
    :ivar allotment: what it was given at first
    :ivar cpus: what it is allotted now
    :ivar cores: those that it is held to now; None: any
    """

    def __init__(
        self, *, container: Container, role: Role, allotment: Allotment, await_ready: Callable[[], None]
    ) -> None:
        self.container = container
        self.name = container.name
        self.role = role
        self.down_on_purpose = False
        self.stages: tuple[Stage, ...] = ()
        self.cpus, self.cores = allotment.cpus, allotment.cores
        self.allotment = allotment
        self._await_ready = await_ready
        self._cut_off = False

    def footprint(self) -> Footprint | None:
        """Its main process, which has a control group of its own; None while it is down, or cannot be seen from here."""
        main = self.container.main
        if main is None:
            return None
        return Footprint(pid=main.pid, confined=True, cpus=self.cpus, memory_bytes=self.allotment.memory_bytes)

    def why_not(self, action: str) -> str | None:
        """None: containers can do all of it."""
        return None

    def pause(self) -> None:
        """Freeze its processes."""
        self.down_on_purpose = True
        self.container.pause()

    def resume(self) -> None:
        """Let frozen processes go on."""
        self.container.resume()
        self.down_on_purpose = self._cut_off

    def stop(self) -> None:
        """Shut it down in order."""
        self.down_on_purpose = True
        self.container.stop()

    def kill(self) -> None:
        """Kill its processes."""
        self.down_on_purpose = True
        self.container.kill()

    def start(self) -> None:
        """Start it again, and wait until it takes connections.

        :raises StackError: it does not
        """
        self.container.start()
        if not self._cut_off:
            self._await_ready()
        self.down_on_purpose = self._cut_off

    def cut_off(self) -> None:
        """Take it off its network: what is sent to it vanishes, and after some seconds the kernel calls it unreachable."""
        self.down_on_purpose = True
        self.container.cut_off()
        self._cut_off = True

    def rejoin(self) -> None:
        """Put it back on its network, at the address that it had."""
        self.container.rejoin()
        self._cut_off = False
        self.down_on_purpose = not self.container.state()["Running"] or self.container.state()["Paused"]

    def set_cpus(self, cpus: float) -> None:
        """Give it another CPU quota; with more cores where those that it is held to are too few.

        :raises StackError: this machine has not so many
        """
        chosen = self._cores_for(cpus)
        self.container.allot(cpus, chosen)
        self.cpus, self.cores = cpus, chosen

    @property
    def lives(self) -> bool:
        """Whether its main process is there, frozen or not."""
        return self.container.lives

    def revive(self) -> None:
        """Have it run, on the network, with what it was given at first, whatever was done to it.

        :raises StackError: it does not come back
        """
        self.undo_limits()
        if not self.container.state()["Running"]:
            self.start()
        self.down_on_purpose = False

    def undo_limits(self) -> None:
        """Let it go on, on the network, with what it was given at first; whether it runs is left as it is."""
        self.container.resume()
        if self._cut_off:
            self.rejoin()
        if self.cpus != self.allotment.cpus:
            self.set_cpus(self.allotment.cpus)

    def how_it_died(self) -> str | None:
        """None while it lives or is down on purpose."""
        return None if self.down_on_purpose else self.container.how_it_died()

    def last_lines(self) -> str:
        """What it said last, indented."""
        return self.container.last_lines()

    def discard(self) -> None:
        """Remove its container with its disk, whatever it does; a second call does nothing."""
        self.down_on_purpose = True
        self.container.remove()

    def _cores_for(self, cpus: float) -> tuple[int, ...] | None:
        held = self.allotment.cores
        if held is None or cpus <= len(held):
            return held
        return cores.others(cpus, Held(cpus=self.allotment.cpus, cores=held))

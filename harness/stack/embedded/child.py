"""What servers that are child processes have in common as the timeline acts upon them: cores, and what is not to be had."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace

from harness.errors import StackError
from harness.stack import cores, family
from harness.stack.cores import Held
from harness.stack.stack import Footprint, Role, Stage


class Child(ABC):
    """A server; what it can do is said in :class:`harness.stack.stack.Server`.

    :param held: what it is given at first
    """

    def __init__(self, *, name: str, role: Role, held: Held) -> None:
        self.name = name
        self.role = role
        self.down_on_purpose = False
        self.stages: tuple[Stage, ...] = ()
        self._given = self._held = held

    @property
    @abstractmethod
    def pid(self) -> int | None:
        """Its main process, paused or not; None while it is down."""

    @property
    def held(self) -> Held:
        """What it gets now."""
        return self._held

    def footprint(self) -> Footprint | None:
        """Where its CPU and memory are read now; None while it is down."""
        pid = self.pid
        return None if pid is None else Footprint(pid=pid, confined=False, cpus=self._held.cpus)

    def why_not(self, action: str) -> str | None:
        """Why it cannot be cut off, or be given other cores; None for what it can."""
        if action in ("cut_off", "rejoin"):
            return f"{self.name} cannot be cut off: embedded servers share this machine's loopback; run it with --stack docker"
        return cores.CANNOT_HOLD if action == "set_cpus" and self._given.cores is None else None

    def cut_off(self) -> None:
        """Not possible here.

        :raises StackError: always
        """
        raise StackError(self.why_not("cut_off"))

    def rejoin(self) -> None:
        """Not possible here.

        :raises StackError: always
        """
        raise StackError(self.why_not("rejoin"))

    def set_cpus(self, cpus: float) -> None:
        """Hold it to so many cores: of its own as far as they go, then to those before them. While it is down that is
        for when it runs again.

        :raises StackError: there are not so many, or this system holds nothing to cores
        """
        if cpus != int(cpus):
            raise StackError(
                f"{self.name} cannot be given {cpus:g} cores: an embedded server is held to whole ones; "
                "a share of a core needs --stack docker"
            )
        chosen = cores.others(cpus, self._given)
        self._hold(replace(self._held, cpus=len(chosen), cores=chosen))

    def _hold(self, held: Held) -> None:
        pid = self.pid
        if pid is not None and held.cores is not None and held.cores != self._held.cores:
            family.hold(pid, held.cores)
        self._held = held

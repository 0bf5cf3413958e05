"""A server that is not ours, as the timeline meets it: nothing can be done to it from here, and each refusal says so."""

from __future__ import annotations

from typing import NoReturn

from harness.errors import StackError
from harness.stack.stack import Footprint, Role, Stage


class ExternalServer:
    """One server of one's own; loaded and measured, never started, stopped or changed."""

    def __init__(self, name: str, role: Role) -> None:
        self.name, self.role, self.down_on_purpose = name, role, False
        self.stages: tuple[Stage, ...] = ()

    def footprint(self) -> Footprint | None:
        """None: its processes are not on this machine, or not ours to read."""
        return None

    def pause(self) -> None:
        """Refused."""
        self._refuse("pause")

    def resume(self) -> None:
        """Refused."""
        self._refuse("resume")

    def stop(self) -> None:
        """Refused."""
        self._refuse("stop")

    def kill(self) -> None:
        """Refused."""
        self._refuse("kill")

    def start(self) -> None:
        """Refused."""
        self._refuse("start")

    def cut_off(self) -> None:
        """Refused."""
        self._refuse("cut_off")

    def rejoin(self) -> None:
        """Refused."""
        self._refuse("rejoin")

    def set_cpus(self, cpus: float) -> None:
        """Refused."""
        self._refuse("set_cpus")

    def why_not(self, action: str) -> str | None:
        """Why nothing can be done to it, and what to do instead."""
        return (
            f"flashcrowd cannot {action.replace('_', ' ')} {self.name}: it is a server of your own; run the incident with "
            "--stack embedded or docker, or leave the step out"
        )

    def _refuse(self, action: str) -> NoReturn:
        raise StackError(self.why_not(action))

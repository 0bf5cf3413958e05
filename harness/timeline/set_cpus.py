"""SetCpus: a server gets other cores while it runs."""

from __future__ import annotations

from harness.errors import StackError
from harness.model import SetCpus
from harness.stack.stack import Server
from harness.timeline.performer import Scene
from harness.timeline.servers import OnServers


class SettingCpus(OnServers[SetCpus]):
    """Changes a server's allotment, and gives back the one that it had."""

    METHODS = ("set_cpus",)
    WANTS_UP = False

    def __init__(self, action: SetCpus, scene: Scene, label: str) -> None:
        super().__init__(action, scene, label)
        self._before: dict[str, float] = {}

    def do(self, server: Server) -> None:
        footprint = server.footprint()
        if footprint is None or footprint.cpus is None:
            raise StackError(f"how many cores {server.name} has is not known, so they could not be given back")
        self._before[server.name] = footprint.cpus
        server.set_cpus(self.action.cpus)

    def put_back(self, server: Server) -> None:
        if server.name in self._before:
            server.set_cpus(self._before[server.name])

"""Pause: a server hangs, its connections stay open."""

from harness.model import Pause
from harness.stack.stack import Server
from harness.timeline.servers import OnServers


class Pausing(OnServers[Pause]):
    """Stops a server's processes without ending them, and lets them go on."""

    METHODS = ("pause", "resume")

    def do(self, server: Server) -> None:
        server.pause()

    def put_back(self, server: Server) -> None:
        server.resume()

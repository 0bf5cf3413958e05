"""CutOff: a server is cut off from clients and other servers."""

from harness.model import CutOff
from harness.stack.stack import Server
from harness.timeline.servers import OnServers


class CuttingOff(OnServers[CutOff]):
    """Cuts a server off, and lets it rejoin."""

    METHODS = ("cut_off", "rejoin")

    def do(self, server: Server) -> None:
        server.cut_off()

    def put_back(self, server: Server) -> None:
        server.rejoin()

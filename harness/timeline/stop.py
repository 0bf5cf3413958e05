"""Stop: a server is shut down in order."""

from harness.model import Stop
from harness.stack.stack import Server
from harness.timeline.servers import OnServers


class Stopping(OnServers[Stop]):
    """Shuts a server down, and starts it again on the data that it has."""

    METHODS = ("stop", "start")

    def do(self, server: Server) -> None:
        server.stop()

    def put_back(self, server: Server) -> None:
        if server.down_on_purpose:
            server.start()

"""Kill: a server's processes end as by a power cut."""

from harness.model import Kill
from harness.stack.stack import Server
from harness.timeline.servers import OnServers


class Killing(OnServers[Kill]):
    """Kills a server, and starts it again on the data that it has: it recovers first."""

    METHODS = ("kill", "start")

    def do(self, server: Server) -> None:
        server.kill()

    def put_back(self, server: Server) -> None:
        if server.down_on_purpose:
            server.start()

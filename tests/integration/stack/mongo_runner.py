"""A replica set in a process of its own, for tests that kill it: brings it up, says where it is, waits to be told to end."""

from __future__ import annotations

import json
import sys

from harness.model import Dataset, MongoReplicaSet, Topology
from harness.stack.embedded import EmbeddedStack


def main() -> None:
    """Run it."""
    topology = Topology(postgres=None, mongo=MongoReplicaSet(members=2))
    players = Dataset(module="fixtures.players", version=1)
    with EmbeddedStack.up(topology, players, scale=0.001, seed=1, say=lambda line: None) as stack:
        assert stack.mongo is not None
        pids = [server.footprint().pid for server in stack.servers.values()]
        print(json.dumps({"pids": pids, "ports": [member.port for member in stack.mongo.members]}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()

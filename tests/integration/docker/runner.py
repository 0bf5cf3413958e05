"""A run in a process of its own, for tests that kill it: brings a stack in containers up, says so, waits to be told to end.

Writes JSON lines: ``{"said": …}`` while it starts, then one with where everything is.
"""

from __future__ import annotations

import json
import sys

from harness.model import Dataset, Topology
from harness.stack.docker.stack import DockerStack


def main() -> None:
    """Run it."""
    dataset = Dataset(module="fixtures.collectibles", version=1)
    with DockerStack.up(Topology(), dataset, scale=0.02, seed=1, say=lambda line: tell(said=line)) as stack:
        endpoint = stack.postgres
        assert endpoint is not None
        assert endpoint.log_folder is not None
        tell(dsn=endpoint.dsn(), host=endpoint.host, postmaster=endpoint.postmaster_pid, log=str(endpoint.log_folder))
        sys.stdin.read()


def tell(**values: object) -> None:
    """Write a line."""
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    main()

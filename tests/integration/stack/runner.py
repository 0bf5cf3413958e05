"""A run in a process of its own, for tests that interrupt or kill it: brings a stack up, says so, waits to be told to end.

Arguments: scale, seed, number of the user to become (0: stay who we are), replicas. Writes JSON lines: ``{"said": …}`` while it starts, then one with where everything is.
"""

from __future__ import annotations

import json
import os
import sys

import psycopg

import fixtures.collectibles  # noqa: F401  see main()
from harness.model import Dataset, PostgresServer, Topology
from harness.stack.embedded import EmbeddedStack


def main() -> None:
    """Run it."""
    scale, seed, user = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    if user:  # only now that all is imported: the user may not be allowed to read where Python is installed
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    dataset = Dataset(module="fixtures.collectibles", version=1)
    topology = Topology(postgres=PostgresServer(replicas=int(sys.argv[4])))
    with EmbeddedStack.up(topology, dataset, scale=scale, seed=seed, say=lambda line: tell(said=line)) as stack:
        endpoint = stack.postgres
        with psycopg.connect(endpoint.dsn()) as connection:
            row = connection.execute("SELECT count(*), current_setting('data_directory') FROM items").fetchone()
        assert row is not None
        tell(
            dsn=endpoint.dsn(),
            port=endpoint.port,
            postmaster=endpoint.postmaster_pid,
            items=row[0],
            data=row[1],
            uid=os.geteuid(),
            version_num=endpoint.version_num,
            notes=endpoint.notes,
            replicas=[{"port": one.port, "postmaster": one.postmaster_pid} for one in stack.replicas],
        )
        sys.stdin.read()


def tell(**values: object) -> None:
    """Write a line."""
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    main()

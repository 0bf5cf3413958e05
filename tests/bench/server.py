"""The server that the bench's incidents run on, the same for ours and for whoever is measured against us.

Nothing but the clients may differ from side to side, so what comes and goes by itself is kept away: a commit does not
wait for the disk (whose noise is larger than what is to be seen), no checkpoint and no autovacuum falls into one side.
"""

from __future__ import annotations

from harness.model import Dataset, PostgresServer, Topology
from harness.stack.embedded import EmbeddedStack
from harness.stack.postgres.endpoint import Endpoint

TOPOLOGY = Topology(
    postgres=PostgresServer(
        cpus=1,
        settings={
            "shared_buffers": "256MB",
            "max_connections": "100",
            "synchronous_commit": "off",
            "autovacuum": "off",
            "checkpoint_timeout": "30min",
            "max_wal_size": "4GB",
        },
    )
)
DATASET = Dataset(module="tests.bench.dataset", version=1)


def postgres_of(stack: EmbeddedStack) -> Endpoint:
    """Where the server is: every stack of the bench has one."""
    assert stack.postgres is not None, "the bench's topologies have a PostgreSQL"
    return stack.postgres

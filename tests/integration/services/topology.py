"""What the tests of services run."""

from __future__ import annotations

from harness.model import Dataset, Service, Topology

MEMORY_BYTES = 96 * 1024**2
DATASET = Dataset(module="fixtures.collectibles", version=1)
COMMAND = ("python", "-m", "tests.integration.services.service")

WEB = Service(name="web", command=COMMAND, ready="/healthz", memory_bytes=MEMORY_BYTES, restart_after_s=0.1)
#: Takes no connections, and nobody starts it again.
WORKER = Service(name="worker", command=("sleep", "600"), listens=False, environment={"TASK": "sleep"})


def alone(token: str) -> Topology:
    """Nothing but two instances of a service, which needs no database until it is asked for one; its processes can be told by the token."""
    web = Service(name="web", command=(*COMMAND, token), instances=2)
    return Topology(postgres=None, services=(web,))

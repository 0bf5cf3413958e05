"""What a load worker is told, as a JSON file in the run folder and a few environment variables.

Addresses of servers travel in the environment, never on a command line, where ``ps`` shows them, and never in a file.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

PLAN_VARIABLE = "FLASHCROWD_PLAN"
WORKER_VARIABLE = "FLASHCROWD_WORKER"
DSN_VARIABLE = "FLASHCROWD_DSN"
#: Replicas that take reads: DSNs with a blank between them. Missing or empty: reads go to the primary.
READERS_VARIABLE = "FLASHCROWD_READERS"
MONGO_VARIABLE = "FLASHCROWD_MONGO"
#: With a service's name behind it, such as FLASHCROWD_SERVICE_WEB: its instances' addresses with a blank between them.
SERVICE_VARIABLE = "FLASHCROWD_SERVICE_"
VARIANT_VARIABLE = "FLASHCROWD_VARIANT"
RATE_VARIABLE = "FLASHCROWD_RATE"
SEED_VARIABLE = "FLASHCROWD_SEED"
#: A worker's file descriptor limit is raised to its hard limit; beyond this many requests in flight the run is invalid.
DEFAULT_CAP = 20_000


def service_variable(name: str) -> str:
    """The environment variable with the addresses of a service.

    >>> service_variable("web-api")
    'FLASHCROWD_SERVICE_WEB_API'
    """
    return SERVICE_VARIABLE + name.upper().replace("-", "_")


def service_addresses(name: str) -> tuple[str, ...]:
    """Where a profile, or another service, finds the instances of a service: ``http://127.0.0.1:18080``, …

    :raises KeyError: the topology has no service of that name, or it does not listen
    """
    return tuple(os.environ[service_variable(name)].split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run's load, the same for all its workers.

    :param incident_folder: folder that holds ``incident.py`` and ``users.py``
    :param rate: factor on all rates
    :param ends_s: when the traffic ends, seconds after the origin
    :param interval_s: how often a worker samples itself
    :param cap: most requests in flight per worker
    """

    incident_folder: str
    variant: str
    run_folder: str
    seed: int
    workers: int
    rate: float
    ends_s: float
    drain_s: float
    interval_s: float
    cap: int = DEFAULT_CAP

    def write(self, path: Path) -> None:
        """Write the plan for the workers."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Plan:
        """The plan that the harness wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    @classmethod
    def of_environment(cls) -> tuple[Plan, int] | None:
        """The plan and this worker's number, if the harness started this process; None under a plain ``locust -f``."""
        path = os.environ.get(PLAN_VARIABLE)
        return (cls.read(Path(path)), int(os.environ[WORKER_VARIABLE])) if path else None

"""What each server of a topology gets of this machine, and the load."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from harness.model import Topology
from harness.stack import cores
from harness.stack.cores import Held
from harness.stack.services.instances import cores_asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Who gets what, in the order in which it was given.

    :param postgres: the primary's first, then its replicas'
    :param mongo: each member's
    :param services: each instance's
    :param load: the cores that are left to the load; None: any
    """

    postgres: tuple[Held, ...]
    mongo: tuple[Held, ...]
    services: tuple[Held, ...]
    load: tuple[int, ...] | None

    @classmethod
    def of(cls, topology: Topology, own: tuple[int, ...] | None, *, quotas: bool = False) -> Shares:
        """Divide this machine.

        :param own: the cores that there are, as for :func:`harness.stack.cores.split`
        :param quotas: likewise
        """
        postgres, mongo = topology.postgres, topology.mongo
        asked = {
            "postgres": [] if postgres is None else [postgres.cpus, *[postgres.cpus_of_a_replica] * postgres.replicas],
            "mongo": [] if mongo is None else [mongo.cpus] * mongo.members,
            "services": cores_asked(topology.services),
        }
        split = cores.split([cpus for part in asked.values() for cpus in part], own, quotas=quotas)
        given = iter(split.servers)
        return cls(load=split.load, **{name: tuple(islice(given, len(part))) for name, part in asked.items()})

    @property
    def beside_postgres(self) -> tuple[Held, ...]:
        """What the others get, in whose order a replica that is added comes before them."""
        return (*self.mongo, *self.services)

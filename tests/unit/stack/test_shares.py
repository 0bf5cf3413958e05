"""How this machine is divided among the servers of a topology."""

from __future__ import annotations

from harness.model import MongoReplicaSet, PostgresServer, Service, Topology
from harness.stack.shares import Shares

WEB = Service(name="web", command=("web",), instances=2)


def test_each_kind_gets_what_it_asked_for_in_order() -> None:
    postgres = PostgresServer(cpus=2, replicas=1, replica_cpus=1)
    topology = Topology(postgres=postgres, mongo=MongoReplicaSet(members=3, cpus=1), services=(WEB,))
    shares = Shares.of(topology, tuple(range(10)))
    assert shares.load == (0, 1)
    assert [held.cores for held in shares.postgres] == [(2, 3), (4,)]
    assert [held.cores for held in shares.mongo] == [(5,), (6,), (7,)]
    assert [held.cores for held in shares.services] == [(8,), (9,)]
    assert shares.beside_postgres == (*shares.mongo, *shares.services)


def test_of_what_a_topology_has_not_there_is_nothing() -> None:
    shares = Shares.of(Topology(postgres=None, mongo=MongoReplicaSet(members=1)), (0, 1))
    assert (shares.postgres, shares.services) == ((), ())
    assert [held.cores for held in shares.mongo] == [(1,)]


def test_a_part_of_a_core_is_one_where_there_are_quotas() -> None:
    topology = Topology(postgres=PostgresServer(cpus=0.5))
    assert [Shares.of(topology, (0, 1), quotas=quotas).postgres[0].cpus for quotas in (True, False)] == [0.5, 1]

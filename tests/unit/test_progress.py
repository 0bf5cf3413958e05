"""The live line says what was measured, of the servers that there are, and nothing of others."""

from __future__ import annotations

from harness.model import Sample
from harness.probes.sampler import Tick
from harness.progress_servers import of_servers

CPU, CORES = "container_cpu_usage_seconds_total", "flashcrowd_cpu_allotment_cores"


def usage(at_s: float, **used_s: float) -> Tick:
    names = {name.replace("_", "-"): value for name, value in used_s.items()}
    samples = [
        Sample(at_s=at_s, metric=metric, value=value, labels={"name": name})
        for name, used in names.items()
        for metric, value in ((CPU, used), (CORES, 2.0))
    ]
    return Tick(probe="usage", at_s=at_s, took_s=0.001, samples=samples)


def tick(probe: str, metric: str, value: float, **labels: str) -> Tick:
    return Tick(
        probe=probe, at_s=1.0, took_s=0.001, samples=[Sample(at_s=1.0, metric=metric, value=value, labels=labels)]
    )


def said(*ticks: Tick) -> dict[str, str]:
    return {one.name: one.value for one in of_servers(ticks)}


def test_one_postgresql() -> None:
    ticks = (
        usage(0.0, postgres=1.0),
        usage(1.0, postgres=2.5),
        tick("activity", "pg_stat_activity_count", 7.0),
        tick("activity", "pg_settings_max_connections", 40.0),
        tick("deadlocks", "flashcrowd_log_deadlocks_total", 3.0),
    )
    # The limit comes in a tick of its own here, so that each is looked for by itself.
    assert said(*ticks) == {"CPU": "75.0 %", "connections": "7/40", "deadlocks": "3"}


def test_several_kinds_of_servers_are_told_apart_and_the_busiest_of_a_kind_is_said() -> None:
    ticks = (
        usage(0.0, postgres=0.0, postgres_replica_1=0.0, postgres_replica_2=0.0, mongo_1=0.0),
        usage(1.0, postgres=1.0, postgres_replica_1=0.2, postgres_replica_2=1.8, mongo_1=0.4),
    )
    assert said(*ticks) == {"CPU PostgreSQL": "50.0 %", "CPU replicas": "90.0 %", "CPU MongoDB": "20.0 %"}


def test_services_have_names_of_their_own() -> None:
    samples = [
        Sample(at_s=at_s, metric=metric, value=value, labels={"name": name, "service": "web"})
        for at_s, used in ((0.0, 0.0), (1.0, 0.5))
        for name, metric, value in (
            ("web-1", CPU, used),
            ("web-1", CORES, 1.0),
            ("web-2", CPU, used),
            ("web-2", CORES, 2.0),
        )
    ]
    ticks = (
        usage(0.0, postgres=0.0),
        usage(1.0, postgres=1.0),
        Tick(probe="usage", at_s=1.0, took_s=0.001, samples=samples),
        tick("services", "flashcrowd_service_restarts_total", 3.0, name="web-1", service="web", reason="exit"),
    )
    assert said(*ticks) == {"CPU PostgreSQL": "50.0 %", "CPU services": "50.0 %", "restarts": "3"}


def test_a_replica_set_alone() -> None:
    ticks = (
        usage(0.0, mongo_1=0.0),
        usage(1.0, mongo_1=1.0),
        tick("mongo-1", "flashcrowd_mongodb_client_connections", 31.0, member="mongo-1"),
        tick("mongo-2", "flashcrowd_mongodb_client_connections", 4.0, member="mongo-2"),
        tick("mongo-1", "mongodb_ss_globalLock_currentQueue", 9.0, member="mongo-1", count_type="total"),
        tick("mongo-replication", "mongodb_mongod_replset_member_replication_lag", 2.5, member="mongo-2"),
    )
    assert said(*ticks) == {"CPU": "50.0 %", "connections": "31", "queued": "9", "lag": "2.50 s"}


def test_a_server_that_started_again_has_no_share_below_zero() -> None:
    assert said(usage(0.0, postgres=9.0), usage(1.0, postgres=0.1)) == {}


def test_nothing_measured_is_nothing_said() -> None:
    assert said() == {}

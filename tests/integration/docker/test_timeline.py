"""What a timeline does to servers in containers and to no others: a partition, a share of a core."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import docker
import psycopg
import pytest

from harness.errors import StackError
from harness.model import CutOff, Pause, SetCpus
from harness.stack.docker.stack import DockerStack
from harness.stack.postgres.endpoint import Endpoint
from tests.integration.timeline.conftest import Actions, until

pytestmark = [pytest.mark.docker, pytest.mark.server]

REPLICA = "postgres-replica-1"


@pytest.fixture
def actions(contained: DockerStack, tmp_path: Path) -> Actions:
    return Actions(contained, tmp_path)


def inspected(client: docker.DockerClient, stack: DockerStack, name: str) -> dict[str, Any]:
    """What the engine says of a server's container."""
    footprint = stack.servers[name].footprint()
    assert footprint is not None
    (found,) = [
        one for one in client.containers.list(ignore_removed=True) if one.attrs["State"]["Pid"] == footprint.pid
    ]
    return dict(found.attrs)


def reachable(endpoint: Endpoint) -> bool:
    """Whether a connection is taken within a moment."""
    with socket.socket() as client:
        client.settimeout(1.0)
        try:
            client.connect((endpoint.host, endpoint.port))
        except OSError:
            return False
    return True


def streams(stack: DockerStack) -> bool:
    assert stack.postgres is not None
    with psycopg.connect(stack.postgres.dsn(), autocommit=True, connect_timeout=5) as session:
        row = session.execute("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'").fetchone()
    return row == (1,)


async def test_a_replica_is_cut_off_and_follows_again(actions: Actions, contained: DockerStack) -> None:
    (replica,) = contained.replicas
    assert reachable(replica)
    cutting = actions.of(CutOff(server=REPLICA))
    done = await cutting.act()
    assert done.servers == (REPLICA,)
    assert not reachable(replica)
    assert contained.check_alive() is None, "it is away on purpose"
    with pytest.raises(StackError, match="is away already"):
        await actions.of(Pause(server=REPLICA)).act()
    assert await cutting.undo() is True
    assert reachable(replica)
    await until(lambda: streams(contained), "it streams again")


async def test_a_server_gets_another_share_and_its_own_again(
    actions: Actions, contained: DockerStack, client: docker.DockerClient
) -> None:
    def quota() -> float:
        host = inspected(client, contained, "postgres")["HostConfig"]
        return float(host["NanoCpus"] / 1e9 or host["CpuQuota"] / host["CpuPeriod"])

    before = quota()
    setting = actions.of(SetCpus(server="postgres", cpus=0.25))
    await setting.act()
    assert quota() == pytest.approx(0.25)
    assert await setting.undo() is True
    assert quota() == pytest.approx(before)


async def test_a_paused_container_is_frozen_and_goes_on(
    actions: Actions, contained: DockerStack, client: docker.DockerClient
) -> None:
    pausing = actions.of(Pause(server="postgres-replicas"))
    await pausing.act()
    assert inspected(client, contained, REPLICA)["State"]["Paused"] is True
    assert await pausing.undo() is True
    assert inspected(client, contained, REPLICA)["State"]["Paused"] is False
    await until(lambda: streams(contained), "it streams")

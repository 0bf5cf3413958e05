"""Twenty stacks in containers, up and down, several at a time: nothing of them is left."""

from __future__ import annotations

import docker
import psutil
import pytest

from tests.integration.command import Place
from tests.integration.many import left, of_twenty

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("named")]


def test_twenty_stacks_leave_nothing(place: Place, client: docker.DockerClient) -> None:
    had = of_twenty(place, "docker")
    assert len({number for one in had for number in one.containers}) == 48, "else nothing could be left"
    assert all(len(one.containers) == len(set(one.folders)) <= len(one.processes) for one in had)
    assert all(len(one.networks) == 1 and one.volumes for one in had)
    assert left(place, had) == []
    containers = {one["Id"] for one in client.api.containers(all=True)}
    networks = {one["Id"] for one in client.api.networks()}
    volumes = {one["Name"] for one in client.api.volumes()["Volumes"] or []}
    assert not [number for one in had for number in one.containers if number in containers]
    assert not [number for one in had for number in one.networks if number in networks]
    assert not [name for one in had for name in one.volumes if name in volumes]
    assert not {f"br-{number[:12]}" for one in had for number in one.networks} & psutil.net_if_addrs().keys()

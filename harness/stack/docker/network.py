"""A network of a stack's own: a bridge with a subnet of its own, so that every server has an address that never changes.

Servers are reached at these addresses from this machine and from each other, without a port mapped on loopback, whose proxy
takes longer than a select. The network is internal: nothing on it reaches, or is reached from, anywhere else.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from docker.errors import APIError
from docker.types import IPAMConfig, IPAMPool

from harness.errors import StackError
from harness.stack.docker.engine import FAILURES, Engine
from harness.stack.docker.labels import Labels

#: Of the private addresses those that home routers, clouds and Docker itself hand out least.
POOL = IPv4Network("10.213.0.0/16")
PREFIX = 26  # 60 servers
TRIED = 20
FIRST_HOST = 2  # the first is the bridge itself, which is this machine


class Network:
    """A stack's network; made by :func:`make`."""

    def __init__(self, engine: Engine, name: str, subnet: IPv4Network) -> None:
        self._engine = engine
        self._given = 0
        self.name = name
        self.subnet = subnet

    def new_address(self) -> str:
        """An address that no server of the stack has had.

        :raises StackError: there is none left
        """
        if self._given == self.subnet.num_addresses - FIRST_HOST - 1:
            raise StackError(f"network {self.name} has no address left after {self._given} servers")
        self._given += 1
        return str(self.subnet[FIRST_HOST + self._given - 1])

    def connect(self, container: str, address: str) -> None:
        """Put a container on it, at an address."""
        self._engine.client.api.connect_container_to_network(container, self.name, ipv4_address=address)

    def disconnect(self, container: str) -> None:
        """Take a container off it."""
        self._engine.client.api.disconnect_container_from_network(container, self.name)


@contextmanager
def make(engine: Engine, labels: Labels) -> Iterator[Network]:
    """Make a network; removed in the end, when its containers must be gone.

    :raises StackError: the engine does not make it
    """
    name = labels.stack
    try:
        yield Network(engine, name, _created(engine, labels))
    finally:
        with suppress(*FAILURES):  # what is left of it is swept by its label
            engine.client.api.remove_network(name)


def _created(engine: Engine, labels: Labels) -> IPv4Network:
    taken = [*_of_networks(engine), *_of_routes()]
    free = [subnet for subnet in POOL.subnets(new_prefix=PREFIX) if not any(subnet.overlaps(one) for one in taken)]
    random.SystemRandom().shuffle(free)
    said = f"all of {POOL} is taken by networks or routes of this machine"
    for subnet in free[:TRIED]:
        pool = IPAMPool(subnet=str(subnet), gateway=str(subnet[1]))
        try:
            engine.testcontainers.client_networks_create(
                labels.stack,
                {
                    "driver": "bridge",
                    "internal": True,
                    "ipam": IPAMConfig(pool_configs=[pool]),
                    "labels": labels.all(),
                },
            )
            return subnet
        except FAILURES as error:
            said = str(error)
            # Taken since we looked: another stack is starting.
            if not isinstance(error, APIError) or "overlaps" not in said:
                break
    raise StackError(f"the Docker engine did not make a network: {said}")


def _of_networks(engine: Engine) -> list[IPv4Network]:
    try:
        networks: list[dict[str, Any]] = engine.client.api.networks()
    except FAILURES as error:
        raise StackError(f"the Docker engine does not list its networks: {error}") from error
    configs = [config for one in networks for config in (one.get("IPAM", {}).get("Config") or [])]
    return _parsed(config["Subnet"] for config in configs if "Subnet" in config)


def _of_routes() -> list[IPv4Network]:
    """Where this machine has a route to, but for the default one: a company's network, a VPN."""
    found = []
    with suppress(OSError):
        for line in Path("/proc/net/route").read_text(encoding="utf-8").splitlines()[1:]:
            words = line.split()
            destination, mask = (int.from_bytes(bytes.fromhex(words[at])[::-1], "big") for at in (1, 7))
            if mask:
                found.append(f"{ipaddress.IPv4Address(destination)}/{mask.bit_count()}")
    return _parsed(found)


def _parsed(texts: Any) -> list[IPv4Network]:
    found = []
    for text in texts:
        with suppress(ValueError):  # IPv6
            found.append(IPv4Network(text, strict=False))
    return found

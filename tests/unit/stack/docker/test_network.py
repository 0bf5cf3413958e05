"""Where a stack's subnet may lie, and the addresses in it."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

import pytest
from docker.errors import APIError

from harness.errors import StackError
from harness.stack.docker import network
from harness.stack.docker.labels import Labels
from harness.stack.docker.network import Network


class FakeEngine:
    """An engine at the narrow interface that a network needs.

    :param taken: subnets of networks that it has
    :param refused: how many creations it refuses because another was faster
    """

    def __init__(self, taken: list[str], refused: int = 0) -> None:
        self.client = self.api = self.testcontainers = self
        self._taken, self._refused = taken, refused
        self.made: list[str] = []
        self.removed: list[str] = []

    def networks(self) -> list[dict[str, Any]]:
        return [
            {"IPAM": {"Config": [{"Subnet": subnet} for subnet in self._taken]}},
            {"IPAM": {"Config": None}},
            {"IPAM": {"Config": [{"Subnet": "fd00::/64"}]}},
        ]

    def client_networks_create(self, name: str, param: dict[str, Any]) -> None:
        if self._refused:
            self._refused -= 1
            raise APIError("Pool overlaps with other one on this address space")
        assert param["internal"] is True
        self.made.append(param["ipam"]["Config"][0]["Subnet"])

    def remove_network(self, name: str) -> None:
        self.removed.append(name)


def test_a_subnet_that_nobody_has(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine(["10.213.0.0/17", "10.213.128.0/18"])
    monkeypatch.setattr(network, "_of_routes", lambda: [IPv4Network("10.213.192.0/19")])
    with network.make(engine, Labels(stack="one")) as made:  # type: ignore[arg-type]
        assert made.subnet.subnet_of(IPv4Network("10.213.224.0/19"))
        assert engine.made == [str(made.subnet)]
    assert engine.removed == ["one"]


def test_another_subnet_where_somebody_was_faster() -> None:
    engine = FakeEngine([], refused=2)
    with network.make(engine, Labels(stack="one")) as made:  # type: ignore[arg-type]
        assert engine.made == [str(made.subnet)]


def test_no_subnet_left_is_said() -> None:
    with (
        pytest.raises(StackError, match=r"all of 10.213.0.0/16 is taken"),
        network.make(FakeEngine(["10.0.0.0/8"]), Labels(stack="one")),  # type: ignore[arg-type]
    ):
        pass


def test_every_server_gets_an_address_of_its_own() -> None:
    made = Network(FakeEngine([]), "one", IPv4Network("10.213.0.64/26"))  # type: ignore[arg-type]
    given = [made.new_address() for _ in range(61)]
    assert given[0] == "10.213.0.66"
    assert len(set(given)) == 61
    assert given[-1] == "10.213.0.126"  # the last is the network's broadcast
    with pytest.raises(StackError, match="no address left"):
        made.new_address()

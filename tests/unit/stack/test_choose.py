"""What ``auto`` stands for, and why."""

from __future__ import annotations

import pytest

from harness.errors import StackError
from harness.model import Topology
from harness.stack import choose
from harness.stack.choose import Provider
from harness.stack.docker import engine


@pytest.mark.parametrize("provider", [Provider.DOCKER, Provider.EMBEDDED, Provider.EXTERNAL])
def test_what_is_named_is_taken(provider: Provider) -> None:
    said: list[str] = []
    assert choose.choose(provider, Topology(), said.append) is provider
    assert said == []


def test_containers_where_they_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "why_no_docker", lambda topology: None)
    said: list[str] = []
    assert choose.choose(Provider.AUTO, Topology(), said.append) is Provider.DOCKER
    assert said == ["stack: docker, servers in containers (an engine answers and has the images)"]


def test_child_processes_where_not_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "why_no_docker", lambda topology: "no image for postgres: …")
    said: list[str] = []
    assert choose.choose(Provider.AUTO, Topology(), said.append) is Provider.EMBEDDED
    assert said == ["stack: embedded, servers as child processes (no image for postgres: …)"]


def test_containers_of_another_system_cannot_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.sys, "platform", "darwin")
    with (
        pytest.raises(StackError, match=r"containers run in a virtual machine here.*--stack embedded"),
        engine.connect(),
    ):
        pass
    assert "virtual machine" in (choose.why_no_docker(Topology()) or "")

"""What ``auto`` stands for, and why."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from harness.errors import StackError
from harness.model import Dataset, Topology
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


@pytest.mark.parametrize(
    ("provider", "left", "asked"),
    [
        pytest.param(Provider.EMBEDDED, False, False, id="child processes, nothing left"),
        pytest.param(Provider.EMBEDDED, True, True, id="child processes, a folder left"),
        pytest.param(Provider.EXTERNAL, False, False, id="own servers"),
        pytest.param(Provider.DOCKER, False, True, id="containers"),
    ],
)
def test_an_engine_is_swept_where_one_is_used_or_a_killed_run_left_a_folder(
    monkeypatch: pytest.MonkeyPatch, provider: Provider, left: bool, asked: bool
) -> None:
    swept: list[bool] = []

    def sweep(*, containers: bool) -> list[str]:
        swept.append(containers)
        return ["removed a container"]

    monkeypatch.setattr(choose, "sweep", sweep)
    monkeypatch.setattr(choose.embedded_sweep, "is_left", lambda: left)
    monkeypatch.setattr(choose, "_starting", lambda chosen: lambda *_, **__: nullcontext(chosen))
    said: list[str] = []
    with choose.up(provider, Topology(), Dataset(module="", version=1), scale=1, seed=1, say=said.append) as stack:
        assert stack is provider
    assert (swept, said) == ([asked], ["removed a container"])

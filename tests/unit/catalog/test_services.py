"""What of a topology's services is refused."""

from __future__ import annotations

from typing import Any

import pytest

from harness.catalog.services import services_problem
from harness.model import Service, Topology

WEB: dict[str, Any] = {"name": "web", "command": ("python", "-m", "web")}


@pytest.mark.parametrize(
    "good",
    [
        {},
        {"ready": "/healthz", "restart_after_s": 0.0, "instances": 32, "memory_bytes": 16 * 1024**2, "cpus": 0.1},
        {"name": "web-api", "listens": False, "environment": {"CACHE_SIZE": "0"}},
        {"command": ("/bin/sleep", "5")},
    ],
)
def test_what_is_right(good: dict[str, Any]) -> None:
    assert services_problem(Topology(services=(Service(**{**WEB, **good}),))) is None


@pytest.mark.parametrize(
    ("wrong", "field", "expected"),
    [
        pytest.param({"name": "Web"}, "name", "lower-case", id="capital"),
        pytest.param({"name": ""}, "name", "lower-case", id="no name"),
        pytest.param({"name": "web-2"}, "name", "its instances are numbered", id="number"),
        pytest.param({"name": "mongo"}, "name", "the databases' servers", id="a database's name"),
        pytest.param({"name": "postgres-replicas"}, "name", "the databases' servers", id="a role's name"),
        pytest.param({"command": ()}, "command", "a program and its arguments", id="no command"),
        pytest.param({"command": (" ",)}, "command", "a program and its arguments", id="blank command"),
        pytest.param({"command": ("nowhere-to-be-found",)}, "command", "is installed", id="no such program"),
        pytest.param({"command": ("./web",)}, "command", "an absolute path", id="relative path"),
        pytest.param({"command": ("python", "a\0b")}, "command", "zero byte", id="zero byte"),
        pytest.param({"instances": 0}, "instances", "1 to 32", id="no instance"),
        pytest.param({"cpus": -1}, "cpus", "above 0", id="negative cores"),
        pytest.param({"memory_bytes": 1024}, "memory_bytes", "at least 16 MiB", id="too little memory"),
        pytest.param({"environment": {"A B": "1"}}, "environment", "names of variables", id="no variable"),
        pytest.param({"environment": {"PORT": "1"}}, "environment", "set by the stack", id="the stack's port"),
        pytest.param(
            {"environment": {"FLASHCROWD_SERVICE_X": "1"}}, "environment", "set by the stack", id="an address"
        ),
        pytest.param({"ready": "healthz"}, "ready", "a path such as /healthz", id="no path"),
        pytest.param({"ready": "/h", "listens": False}, "ready", "it does not listen", id="nobody to ask"),
        pytest.param({"ready_limit_s": 0}, "ready_limit_s", "above 0", id="no time to start"),
        pytest.param({"restart_after_s": -0.1}, "restart_after_s", "0 or more", id="restart before the end"),
    ],
)
def test_what_is_refused(wrong: dict[str, Any], field: str, expected: str) -> None:
    problem = services_problem(Topology(services=(Service(**{**WEB, **wrong}),)))
    assert problem is not None
    assert problem.field.startswith(f"topology.services[0].{field}")
    assert expected in problem.expected
    assert problem.value in (next(iter(wrong.values())), *wrong.get("environment", ()))


def test_two_of_one_name() -> None:
    problem = services_problem(Topology(services=(Service(**WEB), Service(**WEB))))
    assert problem is not None
    assert (problem.field, problem.value) == ("topology.services[1].name", "web")
    assert "no other service" in problem.expected

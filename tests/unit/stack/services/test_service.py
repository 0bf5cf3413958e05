"""What an instance of a service finds in its environment."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.load.plan import service_addresses
from harness.model import Service
from harness.stack.services.service import ServiceEndpoint, addresses, arguments, environment

SERVICE = Service(name="web", command=("python", "-m", "web"), environment={"CACHE": "on", "LANG": "de_DE"})
WEB = ServiceEndpoint(name="web-1", service="web", host="10.0.0.2", port=8000)


def told(endpoint: ServiceEndpoint = WEB, variant: str | None = None) -> dict[str, str]:
    return environment(SERVICE, endpoint, {"FLASHCROWD_DSN": "dsn"}, variant=variant, host="0.0.0.0", folder="/work")


def test_the_environment_is_what_was_declared_and_what_the_stack_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET", "of nobody's business")
    found = told(variant="after")
    assert found["CACHE"] == "on"
    assert found["LANG"] == "de_DE"  # what is declared goes before what is usual
    assert found["FLASHCROWD_DSN"] == "dsn"
    assert (found["HOST"], found["PORT"]) == ("0.0.0.0", "8000")
    assert found["FLASHCROWD_VARIANT"] == "after"
    assert found["FLASHCROWD_INSTANCE"] == "web-1"
    assert {found[name] for name in ("HOME", "TMPDIR", "FLASHCROWD_FOLDER")} == {"/work"}
    assert "AWS_SECRET" not in found


def test_who_does_not_listen_is_told_no_port_and_who_has_no_variant_none() -> None:
    found = told(ServiceEndpoint(name="worker-1", service="worker", host="10.0.0.3", port=None))
    assert not {"HOST", "PORT", "FLASHCROWD_VARIANT"} & found.keys()


def test_modules_are_found_beside_the_harness_and_in_ones_own_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FLASHCROWD_LOADTESTS", str(tmp_path))
    shipped, own = told()["PYTHONPATH"].split(":")
    assert (Path(shipped) / "harness" / "stack" / "services" / "service.py").exists()
    assert own == str(tmp_path)


def test_python_is_our_own() -> None:
    assert arguments(("python", "-m", "web")) == [sys.executable, "-m", "web"]
    assert arguments(("sleep", "5")) == ["sleep", "5"]


def test_profiles_read_the_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    sixth = ServiceEndpoint(name="web-2", service="web", host="::1", port=8001)
    for variable, value in addresses([WEB, sixth]).items():
        monkeypatch.setenv(variable, value)
    assert service_addresses("web") == ("http://10.0.0.2:8000", "http://[::1]:8001")
    with pytest.raises(KeyError):
        service_addresses("worker")

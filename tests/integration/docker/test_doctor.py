"""What ``flashcrowd doctor`` says of the engine: its images, and containers that killed runs left."""

from __future__ import annotations

from collections.abc import Mapping

import psutil
import pytest

from harness.doctor import Finding, State
from harness.doctor.servers import engine
from harness.stack.docker import labels
from harness.stack.docker.images import Image
from tests.integration.docker.conftest import Run

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("named")]


def findings() -> dict[str, Finding]:
    """By name."""
    return {one.name: one for one in engine()}


def test_images_are_found(offline: Mapping[str, Image], monkeypatch: pytest.MonkeyPatch) -> None:
    found = findings()
    assert found["engine"].state is State.OK
    for name, image in offline.items():
        assert found[f"image {name}"].said == f"{image.reference} ({image.id[7:19]})"
    monkeypatch.setenv("FLASHCROWD_POSTGRES_IMAGE", "none-such:1")
    lacking = findings()["image postgres"]
    assert (lacking.state, "none-such:1" in lacking.said) == (State.WARNING, True)
    assert "images build postgres" in lacking.advice


def test_a_container_whose_run_was_killed_is_a_leftover(offline: Mapping[str, Image], run: Run) -> None:
    gone = max(psutil.pids()) + 100_000
    of_live = {labels.OWNER: f"1@{psutil.Process(1).create_time():.2f}", labels.CIRCLE: labels.circle()}
    of_dead = {labels.OWNER: f"{gone}@1.00", labels.CIRCLE: labels.circle()}
    live = run(offline["postgres"].id, begin=False, labels=of_live)
    dead = run(offline["postgres"].id, begin=False, labels=of_dead)
    left = findings()["containers"]
    assert left.state is State.WARNING and "flashcrowd gc" in left.advice
    assert dead.name in left.said and live.name not in left.said

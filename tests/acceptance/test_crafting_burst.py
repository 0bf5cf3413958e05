"""The crafting burst at full size: every symptom of the post-mortem is there before the fix, and gone after it.

On child processes as ``make run`` does it, and in containers, where the same must come out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from harness.load.precedence import NICENESS
from harness.record.reader import Run
from harness.stack.docker import disks
from tests.browser.conftest import Opened
from tests.integration.command import Command, Place, held_back, measured, until
from tests.integration.docker.containers import left
from tests.privileges import may_be_preferred

#: An incident may have to be run anew.
pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]

SYMPTOMS = [
    "many SQL deadlocks",
    "writer CPU at 100 %",
    "high connection count",
    "long query times",
    "long response time",
    "feature not working",
]
FINDING = {"name", "criterion", "held", "value", "unit", "first_s", "worst", "count"}
LIMIT_S = 170.0


@pytest.fixture(scope="module", params=["embedded", pytest.param("docker", marks=pytest.mark.docker)])
def provider(request: pytest.FixtureRequest) -> str:
    """What brings the servers up."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def command(provider: str, shared_place: Place, request: pytest.FixtureRequest) -> Command:
    """What ``make run`` runs; in containers for less time, which still leaves the burst long enough."""
    shorter, image = [], {}
    if provider == "docker":
        shorter = ["--duration", "14s"]
        image = {
            "FLASHCROWD_POSTGRES_IMAGE": request.getfixturevalue("offline")["postgres"].reference,
            disks.VARIABLE: disks.ENGINE,  # as users have it; other tests keep it in memory
        }
    variants = ["--variant", "before", "--variant", "after"]
    out = shared_place.out / provider

    def make() -> tuple[Command, Path]:
        arguments = ("--stack", provider, *variants, *shorter, "--out", str(out))
        command = shared_place.begin("run", "crafting-burst", *arguments, **image)
        command.end(LIMIT_S)
        return command, shared_place.experiment("crafting-burst", out)

    command, _ = measured(make, held_back)  # the core may be a virtual one that its host gives to others
    return command


@pytest.fixture(scope="module")
def folder(command: Command, provider: str, shared_place: Place) -> Path:
    assert command.process.returncode == 0, command.printed
    return shared_place.experiment("crafting-burst", shared_place.out / provider)


@pytest.fixture(scope="module")
def verdict(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "verdict.json").read_text())
    return found


def test_reproduced_and_fixed(verdict: dict[str, Any]) -> None:
    assert {key: verdict[key] for key in ("format", "incident", "status", "reproduced", "fixed")} == {
        "format": 1,
        "incident": "crafting-burst",
        "status": "pass",
        "reproduced": True,
        "fixed": True,
    }


@pytest.mark.parametrize(("variant", "held"), [("before", True), ("after", False)])
def test_every_symptom(verdict: dict[str, Any], variant: str, held: bool) -> None:
    found = verdict["variants"][variant]
    assert (found["valid"], found["why_invalid"]) == (True, [])
    assert [symptom["name"] for symptom in found["symptoms"]] == SYMPTOMS
    assert [symptom["held"] for symptom in found["symptoms"]] == [held] * len(SYMPTOMS)
    assert all(set(symptom) >= FINDING for symptom in (*found["symptoms"], *found["thresholds"]))
    assert all(threshold["held"] is not held for threshold in found["thresholds"])


@pytest.mark.parametrize("variant", ["before", "after"])
def test_nothing_acknowledged_is_lost_and_deadlocks_agree(verdict: dict[str, Any], variant: str) -> None:
    found = verdict["variants"][variant]
    assert len(found["invariants"]) == 5
    assert all(invariant["violations"] == 0 for invariant in found["invariants"])
    deadlocks = found["deadlocks"]
    assert deadlocks["client"] == deadlocks["log"] == deadlocks["counter"] == deadlocks["matched"]


def test_both_variants_met_the_same_arrivals(folder: Path) -> None:
    first, second = (
        Run(folder / variant).query(
            "SELECT arrival, operation, intended_ns FROM requests WHERE attempt = 1 ORDER BY arrival"
        )
        for variant in ("before", "after")
    )
    assert first == second
    scheduled = Run(folder / "before").meta["scheduled"]
    assert len(first) == sum(scheduled.values()) > 1500


def test_its_workers_go_first_where_the_system_allows_it(folder: Path) -> None:
    meta = Run(folder / "before").meta
    own = meta["stack"]["postgres"]["cores"]
    alone = meta["machine"]["load_cores"] is not None and not set(meta["machine"]["load_cores"]) & set(own)
    assert meta["workers_preferred"] is (alone and may_be_preferred(NICENESS))


def test_the_reports_of_a_real_run(folder: Path, browser: Browser) -> None:
    assert "Reproduced, and the fix holds." in (folder / "report.md").read_text()
    assert (folder / "junit.xml").read_text().startswith("<?xml")
    page = browser.new_page()
    try:
        opened = Opened(page)
        page.goto((folder / "report.html").as_uri())
        page.wait_for_selector("canvas")
        text = page.inner_text("body")
        assert "Reproduced, and the fix holds." in text
        assert all(symptom in text for symptom in SYMPTOMS)
        assert "UPDATE collections SET burned" in text
        assert opened.complaints == []
        assert [url for url in opened.requests if not url.startswith("file:")] == []
    finally:
        page.close()


def test_nothing_is_left_behind(
    command: Command, provider: str, shared_place: Place, request: pytest.FixtureRequest
) -> None:
    until(lambda: not shared_place.left(), "nothing left", limit_s=5)
    if provider == "docker":
        client = request.getfixturevalue("client")
        until(lambda: not left(client, command.pid), "containers and networks to be gone", limit_s=5)

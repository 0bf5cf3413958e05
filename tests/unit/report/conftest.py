"""One experiment for all tests that only read it, and what a test needs to look into a page."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from harness.model import Verdict
from harness.record.reader import Run
from harness.report.html.page import render
from tests.unit.report.sample_runs import make_experiment


@pytest.fixture(scope="session")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> tuple[Verdict, list[Run]]:
    """A crafting burst before and after, 30 s at 60/s."""
    return make_experiment(tmp_path_factory.mktemp("experiment"))


@pytest.fixture(scope="session")
def page(experiment: tuple[Verdict, list[Run]]) -> str:
    """Its report."""
    return render(*experiment)


@pytest.fixture
def figures_of() -> Callable[[str], dict[str, Any]]:
    """The data that a page gives its charts."""

    def find(page: str) -> dict[str, Any]:
        match = re.search(r'<script id="figures" type="application/json">(.*?)</script>', page, re.DOTALL)
        assert match is not None
        found: dict[str, Any] = json.loads(match[1])
        return found

    return find

"""What is skipped where no Docker engine answers fails where CI says that there must be one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEEDS_AN_ENGINE = "tests/integration/docker/test_mongo_image.py::test_other_commands_are_passed_through"


@pytest.mark.parametrize(
    ("environment", "exit_code", "said"),
    [
        pytest.param({}, 0, "1 skipped", id="skipped"),
        pytest.param({"FLASHCROWD_REQUIRE_DOCKER": "1"}, 1, "FLASHCROWD_REQUIRE_DOCKER=1, and no", id="required"),
        pytest.param({"FLASHCROWD_NO_SKIPS": "1"}, 1, "skipped, where FLASHCROWD_NO_SKIPS=1 asks", id="no skips"),
    ],
)
def test_without_an_engine(environment: dict[str, str], exit_code: int, said: str) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("FLASHCROWD_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", NEEDS_AN_ENGINE],
        cwd=ROOT,
        env={**inherited, "DOCKER_HOST": "unix:///nowhere", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == exit_code, done.stdout + done.stderr
    assert said in done.stdout and "no Docker engine answers" in done.stdout

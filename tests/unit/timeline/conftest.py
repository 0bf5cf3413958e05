"""A bed for each test of the conductor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.timeline.bed import Bed


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    """A stack without databases, and a folder for events."""
    made = Bed(tmp_path)
    yield made
    made.events_to.close()

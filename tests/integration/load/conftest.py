"""A place of its own for each test that runs a command; what is left there is ended."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.command import Place


@pytest.fixture
def place() -> Iterator[Place]:
    """For one test."""
    made = Place.make()
    yield made
    made.clear()

"""Twenty stacks of child processes, up and down, several at a time: nothing of them is left."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.integration.command import Place
from tests.integration.many import left, of_twenty

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(sys.platform != "linux", reason="takes stock of what Linux lists"),
]


@pytest.fixture
def place() -> Iterator[Place]:
    """A place for the stacks."""
    made = Place.make()
    yield made
    made.clear()


def test_twenty_stacks_leave_nothing(place: Place) -> None:
    had = of_twenty(place, "embedded")
    assert len({folder for one in had for folder in one.folders}) == 48, "else nothing could be left"
    assert all(len(set(one.ports)) + 1 == len(one.folders) <= len(one.processes) for one in had), (
        "a service has no port"
    )
    assert len({number for one in had for number in one.segments}) == 16
    assert len({name for one in had for name in one.shared}) >= 16
    assert left(place, had) == []

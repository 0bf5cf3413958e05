"""Waiting for mongods that do not come up: how long, for what, and why not."""

from __future__ import annotations

import socket

import pytest

from harness.errors import StackError
from harness.stack.mongo import replica_set


@pytest.fixture
def nobody() -> str:
    """An address at which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def test_who_does_not_answer_is_named_with_the_reason(nobody: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica_set, "ANSWER_S", 0.1)
    for make in (replica_set.initiate, replica_set.adopt):
        with pytest.raises(StackError, match=rf"waited 0 s for the mongod at {nobody} to answer: .*refused"):
            make([nobody], lambda: None)


def test_nobody_waits_for_one_that_died(nobody: str) -> None:
    looks: list[int] = []

    def check() -> None:
        looks.append(1)
        if len(looks) == 3:
            raise StackError("it died")

    with pytest.raises(StackError, match="it died"):
        replica_set.answers(nobody, check)
    assert len(looks) == 3

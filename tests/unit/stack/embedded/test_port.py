"""Which port a server listens on."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from harness.errors import StackError
from harness.stack.embedded import port as ports


@pytest.fixture
def listener() -> Iterator[int]:
    """A port that this process listens on."""
    with socket.socket() as held:
        held.bind((ports.HOST, 0))
        held.listen()
        yield held.getsockname()[1]


def test_a_free_port_can_be_bound() -> None:
    port = ports.free()
    with socket.socket() as probe:
        probe.bind((ports.HOST, port))


def test_nothing_is_forced_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ports.FORCED, raising=False)
    assert ports.forced() is None
    monkeypatch.setenv(ports.FORCED, "")
    assert ports.forced() is None


def test_a_forced_port_is_taken_at_its_word(monkeypatch: pytest.MonkeyPatch) -> None:
    port = ports.free()
    monkeypatch.setenv(ports.FORCED, str(port))
    assert ports.forced() == port


@pytest.mark.parametrize("text", ["0", "65536", "-1", "5432.0", "five", "٣"])
def test_what_is_no_port_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ports.FORCED, text)
    with pytest.raises(StackError, match=ports.FORCED):
        ports.forced()


def test_a_taken_port_is_named_with_its_holder(listener: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ports.FORCED, str(listener))
    with pytest.raises(StackError) as caught:
        ports.forced()
    assert f"port {listener}" in str(caught.value)
    assert f"process {os.getpid()}" in str(caught.value)
    assert f"unset {ports.FORCED}" in str(caught.value)

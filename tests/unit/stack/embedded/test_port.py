"""Which port a server listens on."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

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


def test_a_lasting_port_is_none_that_is_given_away(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given_away = tmp_path / "range"
    monkeypatch.setattr(ports, "_GIVEN_AWAY", given_away)
    given_away.write_text("10002\t65535\n")
    with socket.socket() as holder:
        holder.bind((ports.HOST, 10_000))
        holder.listen()
        assert {ports.lasting() for _ in range(20)} == {10_001}
    given_away.write_text("10000\t65535\n")
    assert ports.lasting() > 0  # there is none: any free one
    given_away.unlink()
    assert ports.lasting() > 0

"""Plans of a server that is gone."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from harness.probes import plans
from harness.probes.probe import Unmeasured


async def test_a_server_that_cannot_be_reached_has_no_plans(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: refused, and nobody else gets it meanwhile
        port = closed.getsockname()[1]
        with pytest.raises(Unmeasured, match="could not be asked for plans"):
            await plans.explain(f"postgresql://postgres@127.0.0.1:{port}/crowd", [], tmp_path)
    assert list((tmp_path / "plans").iterdir()) == []

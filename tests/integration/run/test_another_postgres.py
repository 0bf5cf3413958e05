"""A whole run on a PostgreSQL that one names: 16, in a build that came without pg_stat_statements."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from harness.errors import Exit
from harness.stack.embedded.binaries import FORCED
from tests.integration.command import Place, ask

pytestmark = pytest.mark.server

INCIDENT = "small-burst"


@pytest.fixture(scope="module")
def programs() -> Path:
    """The folder of its programs."""
    spec = importlib.util.find_spec("pgserver")
    if spec is None:
        pytest.skip("pgserver is not installed: its wheels are for Python up to 3.12 on Linux")
    return Path(str(spec.origin)).parent / "pginstall" / "bin"


def test_it_is_reproduced_and_fixed_there_and_what_statements_cost_is_not_measured(
    programs: Path, place: Place
) -> None:
    command = place.measure(INCIDENT, "--seed", "7", **{FORCED: str(programs)})
    folder = place.experiment(INCIDENT)
    verdict = json.loads((folder / "verdict.json").read_text())
    assert (verdict["status"], verdict["reproduced"], verdict["fixed"]) == ("pass", True, True), command.printed
    assert command.process.returncode == Exit.FINE
    deadlocks = verdict["variants"]["before"]["deadlocks"]
    assert deadlocks["client"] == deadlocks["log"] == deadlocks["counter"] >= 1
    for variant in ("before", "after"):
        server = json.loads((folder / variant / "run.json").read_text())["stack"]["postgres"]
        assert server["version"].startswith("16.")
        assert any("without pg_stat_statements" in note for note in server["notes"])
        assert not (folder / variant / "statements.parquet").exists()
        seen = "SELECT count(*) > 0 FROM samples WHERE metric = 'pg_stat_io_hits'"
        assert ask(folder / variant, seen) == [(True,)]
    assert "without pg_stat_statements" in (folder / "report.html").read_text()
    assert place.left() == []

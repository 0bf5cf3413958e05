"""An application whose pool is larger than the server: who comes too late is refused, and told from every other failure."""

from __future__ import annotations

import json

from harness.probes.sampler import LATE
from tests.integration.command import Place, ask


def test_a_full_house_refuses_by_its_own_name(place: Place) -> None:
    place.measure("full-house")
    run = place.experiment("full-house") / "before"
    outcomes = dict(ask(run, "SELECT outcome, count(*) FROM requests GROUP BY 1"))  # type: ignore[arg-type]
    assert outcomes["ok"] > 0 and outcomes["53300"] > 0
    assert outcomes.keys() <= {"ok", "53300", "cut_off"}
    assert sum(outcomes.values()) == 240
    assert ask(run, "SELECT count(*) FROM requests WHERE outcome = '53300' AND service_s IS NOT NULL") == [(0,)]
    assert "53300" in (run.parent / "report.html").read_text()
    # the probes were inside before the house was full
    reasons = {str(reason) for (reason,) in ask(run, "SELECT fields ->> 'reason' FROM events WHERE kind = 'gap'")}
    assert not {reason for reason in reasons if reason != LATE and not reason.startswith("no answer within")}
    ((ticks,),) = ask(run, "SELECT count(*) FROM ticks WHERE probe = 'activity' AND at_s BETWEEN 0 AND 4")
    assert isinstance(ticks, int) and ticks > 0
    assert json.loads((run.parent / "verdict.json").read_text())["variants"]["before"]["why_invalid"] == []
    assert place.left() == []

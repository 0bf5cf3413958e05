"""A criterion comes true at the tick at which it is true of what was sampled so far, and not before."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from harness.criteria import parse
from harness.model import Constant, Sample, Traffic
from harness.probes.sampler import Tick
from harness.timeline.condition import Condition

TRAFFIC = Traffic(
    phases=(Constant(name="calm", at_s=0, for_s=10, per_s=1), Constant(name="burst", at_s=10, for_s=20, per_s=1)),
    mix={"ask": 1},
)
CPU = "container_cpu_usage_seconds_total"
CORES = "flashcrowd_cpu_allotment_cores"
GROUPS = "pg_stat_activity_count"


def tick(at_s: float, *samples: tuple[str, float], probe: str = "probe", **labels: str) -> Tick:
    return Tick(
        probe=probe,
        at_s=at_s,
        took_s=0.01,
        samples=[Sample(at_s=at_s, metric=metric, value=value, labels=labels) for metric, value in samples],
    )


def first(text: str, ticks: Sequence[Tick], interval_s: float = 1.0) -> float | None:
    """When the criterion comes true; None if it does not."""
    criterion = parse(text, operations=["ask"], phases=["calm", "burst"], where="", field="")
    condition = Condition(criterion, TRAFFIC, interval_s)
    try:
        return next((one.at_s for one in ticks if condition.concerns(one) and condition.holds(one)), None)
    finally:
        condition.close()


def blocked(*values: float | None, begin_s: float = 0.0) -> list[Tick]:
    """A tick a second; None is missed."""
    return [
        tick(begin_s + at_s, ("flashcrowd_blocked_sessions", value))
        for at_s, value in enumerate(values)
        if value is not None
    ]


def cpu(*values: float, name: str = "postgres") -> list[Tick]:
    """Seconds used so far, on two cores, at each second from the one before the traffic."""
    return [tick(at_s - 1.0, (CPU, value), (CORES, 2.0), name=name) for at_s, value in enumerate(values)]


@pytest.mark.parametrize(
    ("text", "ticks", "expected"),
    [
        pytest.param("postgres.blocked > 3 for 2s", blocked(4, 4, 3, 4, 4, 4), 5.0, id="a whole stretch"),
        pytest.param("postgres.blocked > 3 for 2s", blocked(4, 4, None, None, 4, 4), None, id="a gap is not bridged"),
        pytest.param("postgres.blocked > 3 for 2s", blocked(4, 4, 4, 4, begin_s=-2), None, id="not before the traffic"),
        pytest.param("max(postgres.blocked) > 3", blocked(1, 2, 4), 2.0, id="the first one above"),
        pytest.param("min(postgres.blocked) < 1", blocked(1, 2, 0), 2.0, id="the first one below"),
        pytest.param("last(postgres.blocked) == 2", blocked(1, 2, 0), 1.0, id="the latest"),
        pytest.param("max(postgres.blocked) > 3 during burst", blocked(9, 0, begin_s=5) + blocked(4, begin_s=12), 12.0, id="in its phase"),
        pytest.param("max(postgres.blocked) > 3 during calm", blocked(4, begin_s=12), None, id="not in its phase"),
        pytest.param("postgres.cpu >= 90% for 2s", cpu(0, 2, 4, 6), 2.0, id="a share of two cores"),
        pytest.param("postgres.cpu >= 90% for 2s", cpu(0, 1, 2, 3, 4), None, id="half of two cores"),
        pytest.param("postgres.cpu >= 90% for 2s", cpu(0, 2, 4, 6, name="mongo-1"), None, id="another server's"),
        pytest.param("postgres.cpu >= 90% for 2s", cpu(0, 2, 0, 2, 4, 6), 3.0, id="a restart in between"),
    ],
)  # fmt: skip
def test_when_it_comes_true(text: str, ticks: list[Tick], expected: float | None) -> None:
    assert first(text, ticks) == expected


def deadlocks(*values: float, begin_s: float = 0.0) -> list[Tick]:
    return [tick(begin_s + at_s, ("pg_stat_database_deadlocks", value)) for at_s, value in enumerate(values)]


def test_a_total_counts_from_the_begin_of_its_window() -> None:
    assert first("deadlocks > 2", deadlocks(100, 101, 102, 103)) == 3.0
    assert first("deadlocks > 2 during burst", deadlocks(0, 3, 3, 4, 6, begin_s=8)) == 12.0


def test_connections_that_nobody_has_are_none() -> None:
    """The probe that counts by groups is silent where there is nobody to count."""
    some = tick(0.0, (GROUPS, 3.0), ("pg_settings_max_connections", 40.0), probe="activity", state="active")
    nobody = tick(1.0, ("pg_settings_max_connections", 40.0), probe="activity")
    assert first("last(postgres.connections) < 1", [some, nobody]) == 1.0


def test_only_what_is_needed_is_kept() -> None:
    criterion = parse("postgres.blocked > 5 for 2s", operations=[], phases=[], where="", field="")
    condition = Condition(criterion, TRAFFIC, 1.0)
    for at_s in range(200):
        assert not condition.holds(tick(float(at_s), ("flashcrowd_blocked_sessions", 1.0), ("something_else", 1.0)))
    ((kept,),) = condition._samples.query("SELECT count(*) FROM samples")
    condition.close()
    assert 60 <= kept <= 70

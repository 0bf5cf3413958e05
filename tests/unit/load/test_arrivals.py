"""Schedules: right in number and shape, the same for everybody, divided without a rest."""

from dataclasses import replace

import numpy as np
import pytest

from harness.load.arrivals import rate_at, scaled, schedule
from harness.model import Constant, OpenPhase, Process, Ramp, Spike, Traffic, Users

CONSTANT = Constant(name="calm", at_s=0, for_s=50, per_s=40)
RAMP = Ramp(name="ramp", at_s=50, for_s=20, per_s=40, to_per_s=400)
SPIKE = Spike(name="spike", at_s=70, for_s=30, per_s=100, peak_per_s=1000, peak_at_s=3)


def traffic(*phases: OpenPhase | Users, process: Process = Process.POISSON) -> Traffic:
    return Traffic(phases=phases, mix={"craft": 1.0, "view": 3.0}, process=process)


def expected(phase: OpenPhase, begin_s: float, end_s: float) -> float:
    """Expected arrivals between two times of a phase, by the trapezoidal rule on a fine grid."""
    grid = np.linspace(begin_s, end_s, 20_001)
    return float(np.trapezoid([rate_at(phase, x) for x in grid], grid))


@pytest.mark.parametrize("phase", [CONSTANT, RAMP, SPIKE], ids=lambda phase: phase.name)
@pytest.mark.parametrize("process", list(Process))
def test_rate_is_followed_through_the_phase(phase: OpenPhase, process: Process) -> None:
    due_s = schedule(traffic(phase, process=process), seed=3).due_ns / 1e9 - phase.at_s
    assert due_s.min() >= 0
    assert due_s.max() <= phase.for_s
    assert (np.diff(due_s) >= 0).all()
    for begin_s, end_s in [(0, phase.for_s / 4), (phase.for_s / 4, phase.for_s / 2), (phase.for_s / 2, phase.for_s)]:
        found = ((due_s >= begin_s) & (due_s < end_s)).sum()
        mean = expected(phase, begin_s, end_s)
        # even arrivals may differ by the one at each edge; Poisson counts lie within 4.5 standard deviations
        assert abs(found - mean) <= (2 if process is Process.EVEN else 4.5 * np.sqrt(mean))


def test_poisson_gaps_are_exponential() -> None:
    gaps = np.diff(schedule(traffic(replace(CONSTANT, per_s=1000)), seed=1).due_ns) / 1e9 * 1000
    ordered = np.sort(gaps)
    distance = np.abs(1 - np.exp(-ordered) - np.arange(1, len(gaps) + 1) / len(gaps)).max()
    assert distance < 1.63 / np.sqrt(len(gaps))  # Kolmogorov-Smirnov at 1 %


def test_even_arrivals_are_a_metronome() -> None:
    gaps = np.diff(schedule(traffic(CONSTANT, process=Process.EVEN), seed=1).due_ns)
    assert set(gaps) <= {25_000_000 - 1, 25_000_000, 25_000_000 + 1}


def test_same_seed_same_arrivals_another_seed_others() -> None:
    whole = traffic(CONSTANT, RAMP, SPIKE)
    first, again, other = schedule(whole, 5), schedule(whole, 5), schedule(whole, 6)
    assert (first.due_ns == again.due_ns).all()
    assert (first.operation == again.operation).all()
    assert len(first) != len(other) or (first.due_ns != other.due_ns).any()


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_workers_take_every_arrival_once(workers: int) -> None:
    whole = schedule(traffic(CONSTANT, SPIKE), seed=2)
    shares = [whole.share(worker, workers) for worker in range(workers)]
    indexes = np.concatenate([share.index for share in shares])
    assert sorted(indexes) == list(range(len(whole)))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_mix_is_drawn_by_weight() -> None:
    counts = schedule(traffic(replace(CONSTANT, per_s=400)), seed=4).counts()
    assert sum(counts.values()) == pytest.approx(20_000, abs=700)
    assert counts["view"] / counts["craft"] == pytest.approx(3, rel=0.06)


def test_offered_per_second_adds_up() -> None:
    whole = schedule(traffic(CONSTANT, RAMP), seed=4)
    per_second = whole.per_second(70.0)
    assert {name: sum(values) for name, values in per_second.items()} == whole.counts()
    assert len(per_second["craft"]) == 70


def test_scaled_rate_and_length() -> None:
    twice = scaled(traffic(CONSTANT, RAMP), rate=2.0, ends_s=35.0)
    assert twice.ends_s == 35.0
    assert [(phase.at_s, phase.for_s) for phase in twice.phases] == [(0.0, 25.0), (25.0, 10.0)]
    assert rate_at(twice.phases[1], 10.0) == 800.0  # type: ignore[arg-type]
    users = scaled(traffic(Users(name="tabs", at_s=0, for_s=10, users=20)), rate=1.5)
    assert users.phases[0].users == 30  # type: ignore[union-attr]


def test_closed_traffic_has_no_schedule() -> None:
    assert len(schedule(traffic(Users(name="tabs", at_s=0, for_s=10, users=20)), seed=1)) == 0

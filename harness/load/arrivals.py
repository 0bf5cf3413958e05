"""When each request of the open model is due, and which operation it is: a function of traffic and seed alone.

Every worker computes the whole schedule and takes the arrivals whose index is congruent to its own number modulo the
number of workers, so workers need no talk, and the same incident has the same arrivals however many workers carry it.

The phases' rates form one piecewise linear function r(t). With its integral R(t), arrivals of a unit-rate process at
1, 2, … are mapped back through R (time rescaling; Daley and Vere-Jones, An Introduction to the Theory of Point
Processes, §7.4). Exponential gaps give a Poisson process of rate r(t), gaps of 1 a metronome.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harness.model import Constant, OpenPhase, Process, Ramp, Spike, Traffic, Users


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Arrivals in order of time.

    :param due_ns: nanoseconds after the origin, ascending, int64
    :param operation: index into ``operations``, uint8
    :param index: the arrival's number in the whole schedule, uint32
    """

    operations: tuple[str, ...]
    due_ns: NDArray[np.int64]
    operation: NDArray[np.uint8]
    index: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.due_ns)

    def share(self, worker: int, workers: int) -> Schedule:
        """The arrivals that worker ``worker`` of ``workers`` takes."""
        part = slice(worker, None, workers)
        return replace(self, due_ns=self.due_ns[part], operation=self.operation[part], index=self.index[part])

    def counts(self) -> dict[str, int]:
        """Arrivals of each operation."""
        found = np.bincount(self.operation, minlength=len(self.operations))
        return {name: int(count) for name, count in zip(self.operations, found, strict=True)}

    def per_second(self, ends_s: float) -> dict[str, list[int]]:
        """Arrivals of each operation in each second from the origin to ``ends_s``."""
        edges = np.arange(0, np.ceil(ends_s) + 1) * 1e9
        return {
            name: np.histogram(self.due_ns[self.operation == code], bins=edges)[0].tolist()
            for code, name in enumerate(self.operations)
        }


def schedule(traffic: Traffic, seed: int) -> Schedule:
    """The arrivals of an open traffic; those of a closed one are empty, as there users decide.

    The same traffic and seed give the same arrivals on every machine.
    """
    operations = tuple(traffic.mix)
    rng = np.random.default_rng(seed)
    due_s = np.concatenate(
        [_arrivals(phase, traffic.process, rng) for phase in traffic.phases if not isinstance(phase, Users)]
        or [np.empty(0)]
    )
    weights = np.array([traffic.mix[name] for name in operations], dtype=np.float64)
    drawn = rng.choice(len(operations), size=len(due_s), p=weights / weights.sum())
    return Schedule(
        operations=operations,
        due_ns=np.round(due_s * 1e9).astype(np.int64),
        operation=drawn.astype(np.uint8),
        index=np.arange(len(due_s), dtype=np.uint32),
    )


def scaled(traffic: Traffic, *, rate: float = 1.0, ends_s: float | None = None) -> Traffic:
    """The same traffic with all rates (or users) times ``rate``, its phases stretched or squeezed to end at ``ends_s``."""
    stretch = 1.0 if ends_s is None else ends_s / traffic.ends_s
    phases = []
    for phase in traffic.phases:
        phase = replace(phase, at_s=phase.at_s * stretch, for_s=phase.for_s * stretch)
        match phase:
            case Constant():
                phase = replace(phase, per_s=phase.per_s * rate)
            case Ramp():
                phase = replace(phase, per_s=phase.per_s * rate, to_per_s=phase.to_per_s * rate)
            case Spike():
                phase = replace(
                    phase,
                    per_s=phase.per_s * rate,
                    peak_per_s=phase.peak_per_s * rate,
                    peak_at_s=phase.peak_at_s * stretch,
                )
            case Users():
                phase = replace(phase, users=max(1, round(phase.users * rate)))
        phases.append(phase)
    return replace(traffic, phases=tuple(phases))


def rate_at(phase: OpenPhase, into_s: float) -> float:
    """Arrivals per second, ``into_s`` seconds after the phase's begin.

    >>> rate_at(Ramp(name="r", at_s=0, for_s=10, per_s=0, to_per_s=100), 2.5)
    25.0
    """
    times, rates = zip(*_corners(phase), strict=True)
    return float(np.interp(into_s, times, rates))


def _corners(phase: OpenPhase) -> list[tuple[float, float]]:
    """Corners (seconds into the phase, arrivals per second) of the phase's piecewise linear rate."""
    match phase:
        case Constant():
            return [(0.0, phase.per_s), (phase.for_s, phase.per_s)]
        case Ramp():
            return [(0.0, phase.per_s), (phase.for_s, phase.to_per_s)]
        case Spike():
            return [(0.0, phase.per_s), (phase.peak_at_s, phase.peak_per_s), (phase.for_s, phase.per_s)]


def _arrivals(phase: OpenPhase, process: Process, rng: np.random.Generator) -> NDArray[np.float64]:
    """Times of one phase's arrivals, seconds after the origin of the traffic."""
    corners = _corners(phase)
    times = np.array([time for time, _ in corners])
    rates = np.array([rate for _, rate in corners])
    lengths = np.diff(times)
    masses = (rates[:-1] + rates[1:]) / 2 * lengths  # expected arrivals of each segment
    reached = np.concatenate([[0.0], np.cumsum(masses)])
    unit = _unit_process(float(reached[-1]), process, rng)
    segment = np.clip(np.searchsorted(reached, unit, side="right") - 1, 0, len(masses) - 1)
    # Solve r0·x + slope·x²/2 = rest for x; this form of the root does not cancel where the slope is small or zero.
    rest = unit - reached[segment]
    slope = np.divide(np.diff(rates), lengths, out=np.zeros_like(lengths), where=lengths > 0)[segment]
    first = rates[:-1][segment]
    root = np.sqrt(np.maximum(first**2 + 2 * slope * rest, 0.0))
    into = np.divide(2 * rest, first + root, out=np.zeros_like(rest), where=(first + root) > 0)
    return np.asarray(phase.at_s + np.minimum(times[segment] + into, phase.for_s), dtype=np.float64)


def _unit_process(mass: float, process: Process, rng: np.random.Generator) -> NDArray[np.float64]:
    """Arrivals of a process of rate 1 on [0, mass)."""
    if process is Process.EVEN:
        return np.arange(0.5, mass, 1.0)
    found = np.empty(0)
    while not len(found) or found[-1] < mass:
        # Drawn in fixed portions, so that a longer phase begins with the same arrivals as a shorter one.
        start = found[-1] if len(found) else 0.0
        found = np.concatenate([found, start + np.cumsum(rng.exponential(1.0, 4096))])
    return found[: np.searchsorted(found, mass)]

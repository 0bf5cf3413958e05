"""Declared: arrivals over time, and what a person does whose request failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Process(StrEnum):
    """How arrivals of the open model are spaced."""

    POISSON = "poisson"  # independent people: exponential gaps
    EVEN = "even"  # a metronome


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """Open arrivals at one rate. ``at_s`` counts from the start of the traffic, ``per_s`` is arrivals per second."""

    name: str
    at_s: float
    for_s: float
    per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp:
    """Open arrivals whose rate goes in a straight line from ``per_s`` to ``to_per_s``."""

    name: str
    at_s: float
    for_s: float
    per_s: float
    to_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spike:
    """Open arrivals whose rate goes from ``per_s`` straight up to ``peak_per_s`` at ``peak_at_s`` (after ``at_s``) and down again."""

    name: str
    at_s: float
    for_s: float
    per_s: float
    peak_per_s: float
    peak_at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """Closed model: ``users`` people who each wait for their answer, think ``think_s`` (exponential mean), and ask again."""

    name: str
    at_s: float
    for_s: float
    users: int
    think_s: float = 0.0


OpenPhase = Constant | Ramp | Spike
Phase = OpenPhase | Users


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """What a person does whose request failed: tries again.

    :param attempts: most attempts in all, the first included
    :param after_s: mean of the exponential wait before the next attempt
    :param operations: names of the operations that are worth a second click
    """

    attempts: int
    after_s: float
    operations: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Arrivals over time.

    :param phases: in order of time, not overlapping; either all open or all closed
    :param mix: operation name to weight; each arrival is one operation, drawn by weight from the seed
    """

    phases: tuple[Phase, ...]
    mix: Mapping[str, float]
    process: Process = Process.POISSON
    retry: Retry | None = None

    @property
    def ends_s(self) -> float:
        """When the last phase ends, seconds after the start of the traffic."""
        return max(phase.at_s + phase.for_s for phase in self.phases)

    @property
    def is_open(self) -> bool:
        """Whether arrivals come by schedule (open model) and not by users who wait (closed)."""
        return not isinstance(self.phases[0], Users)
